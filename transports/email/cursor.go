package email

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// cursor is how far each folder was read: JSON, as the gateway keeps it.
type cursor struct {
	Folders map[string]place `json:"folders"`
}

// place is how far one folder was read.
type place struct {
	// Validity is the folder's UIDVALIDITY (RFC 9051, section 2.3.1.1): UID means
	// nothing under another.
	Validity uint32 `json:"validity"`
	// UID is the last stored one, 0 when none was.
	UID uint32 `json:"uid"`
	// Since is the day of the first mail to import. It holds for mails up to the
	// UID Until, which were there when the import began; what comes later is new
	// whatever its date.
	Since time.Time `json:"since"`
	Until uint32    `json:"until"`
	// ModSeq is the folder's HIGHESTMODSEQ (RFC 7162) when it was last read to its
	// end, 0 where the server has none: while it stays, nothing came.
	ModSeq uint64 `json:"modseq,omitempty"`
}

func readCursor(s string) (cursor, error) {
	c := cursor{Folders: map[string]place{}}
	if s == "" {
		return c, nil
	}
	if err := json.Unmarshal([]byte(s), &c); err != nil {
		// Beginning anew would show old mail as new or leave out some: a person decides.
		return c, fmt.Errorf("email: the cursor cannot be read: %w", err)
	}
	if c.Folders == nil {
		c.Folders = map[string]place{}
	}
	return c, nil
}

func (c cursor) String() string {
	out, err := json.Marshal(c)
	if err != nil { // a time outside of the years 0 to 9999
		return ""
	}
	return string(out)
}

// with is the cursor with one folder at p.
func (c cursor) with(folder string, p place) cursor {
	c.Folders = maps.Clone(c.Folders)
	c.Folders[folder] = p
	return c
}
