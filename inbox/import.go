package inbox

// ImportVerdict is what becomes of one line of an import.
type ImportVerdict string

// The verdicts.
const (
	ImportCreated   ImportVerdict = "created"
	ImportMerged    ImportVerdict = "merged"    // into a client who is there
	ImportUnchanged ImportVerdict = "unchanged" // all of it is there
	ImportRefused   ImportVerdict = "refused"
)

// ImportLine says what became of one line, or would.
type ImportLine struct {
	Line    int           `json:"line" doc:"Its number in the file; the head is 1."`
	Verdict ImportVerdict `json:"verdict" enum:"created,merged,unchanged,refused"`
	Name    string        `json:"name,omitempty"`
	Client  int64         `json:"client_id,omitempty" doc:"Absent for a refused one, and in a dry run for a new one."`
	// SameAs is an earlier line of the file that is the same new client.
	SameAs int    `json:"same_as,omitempty" doc:"In a dry run, the earlier line whose new client it would be."`
	Why    string `json:"why,omitempty"`
	Hint   string `json:"hint,omitempty" doc:"What to do about a refused line."`
}

// ImportReport is what became of a file.
type ImportReport struct {
	DryRun    bool         `json:"dry_run"`
	Created   int          `json:"created"`
	Merged    int          `json:"merged"`
	Unchanged int          `json:"unchanged"`
	Refused   int          `json:"refused"`
	Lines     []ImportLine `json:"lines" nullable:"false"`
}

// Add counts a line.
func (r *ImportReport) Add(l ImportLine) {
	switch l.Verdict {
	case ImportCreated:
		r.Created++
	case ImportMerged:
		r.Merged++
	case ImportUnchanged:
		r.Unchanged++
	case ImportRefused:
		r.Refused++
	}
	r.Lines = append(r.Lines, l)
}
