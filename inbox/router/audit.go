package router

import (
	"context"
	"fmt"
	"strings"

	"parley/events/jetstream"
	"parley/store"
)

// AuditReport says whether every accepted event ended as exactly one thing.
type AuditReport struct {
	Clean      bool             `json:"clean"`
	Partitions []AuditPartition `json:"partitions"`
	// Findings are sentences about what is wrong and what to do.
	Findings []string `json:"findings"`
}

// AuditPartition is one partition's part of the report.
type AuditPartition struct {
	Partition int    `json:"partition"`
	Stream    string `json:"stream"`
	// From and To are the sequences this database answers for.
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// Frames and Events were read from the stream.
	Frames int64 `json:"frames"`
	Events int64 `json:"events"`
	// Waiting counts frames that were accepted and are not stored yet.
	Waiting int64 `json:"waiting"`
	// Persisted, Duplicate, Ignored and Quarantined are the four ends.
	Persisted   int64 `json:"persisted"`
	Duplicate   int64 `json:"duplicate"`
	Ignored     int64 `json:"ignored"`
	Quarantined int64 `json:"quarantined"`
	// Rows are the stored messages and updates found, Erased those that left
	// with their client.
	Rows   int64 `json:"rows"`
	Erased int64 `json:"erased"`
	Fenced int64 `json:"fenced"`
	// Examined counts the records still in the stream whose row was looked up.
	Examined int64 `json:"examined"`
}

// auditChunk is how many records are looked up at a time.
const auditChunk = 1000

// Audit holds the ledger against the rows, and every record that the bus still
// has against the row that answers for it. It changes nothing; run it as often
// as you like.
func Audit(ctx context.Context, db *store.DB, bus *jetstream.Bus) (AuditReport, error) {
	report := AuditReport{Findings: []string{}}
	streams, err := bus.Streams(ctx)
	if err != nil {
		return report, fmt.Errorf("reading the streams: %w", err)
	}
	ledger, err := db.Ledger(ctx)
	if err != nil {
		return report, fmt.Errorf("reading the ledger: %w", err)
	}
	if len(ledger) != len(streams) {
		report.find("The database knows %d partitions, the bus has %d streams: they do not belong together.", len(ledger), len(streams))
	}
	for i, line := range ledger {
		if i < len(streams) {
			if err := report.partition(ctx, db, bus, line, streams[i]); err != nil {
				return report, fmt.Errorf("partition %d: %w", line.Partition.Partition, err)
			}
		}
	}
	report.Clean = len(report.Findings) == 0
	return report, nil
}

func (a *AuditReport) find(format string, args ...any) {
	a.Findings = append(a.Findings, fmt.Sprintf(format, args...))
}

func (a *AuditReport) partition(ctx context.Context, db *store.DB, bus *jetstream.Bus, l store.LedgerLine, s jetstream.StreamState) error {
	p := AuditPartition{
		Partition: l.Partition.Partition, Stream: l.Stream, From: l.Base + 1, To: l.LastSeq,
		Frames: l.Frames, Events: l.Events,
		Waiting:   int64(s.LastSeq) - l.LastSeq, //nolint:gosec // a stream sequence
		Persisted: l.Persisted, Duplicate: l.Duplicate, Ignored: l.Ignored, Quarantined: l.Quarantined,
		Rows: l.Rows, Erased: l.Erased, Fenced: l.Fenced,
	}
	if l.Identity != s.Identity {
		a.find("Stream %s is not the one the database has read: see `parley migrate --adopt-streams`.", s.Name)
	}
	if gap := l.MissingFrames(); gap != 0 {
		a.find("Partition %d: %d of the %d frames up to sequence %d were passed unread: they vanished from the stream before they were stored, or the checkpoint was moved by hand.",
			p.Partition, gap, l.LastSeq-l.Base, l.LastSeq)
	}
	if n := l.EndlessEvents(); n != 0 {
		a.find("Partition %d: %d of %d events ended as nothing.", p.Partition, n, l.Events)
	}
	switch missing := l.Missing(); {
	case missing > 0:
		a.find("Partition %d: %d stored messages are gone although neither their client nor their tenant was deleted: somebody deleted rows by hand. Restore them from a backup.", p.Partition, missing)
	case missing < 0:
		a.find("Partition %d: there are %d more messages than were stored from the bus.", p.Partition, -missing)
	}
	if l.Quarantined != l.QuarantineRows {
		a.find("Partition %d: %d events were quarantined, but %d are there.", p.Partition, l.Quarantined, l.QuarantineRows)
	}
	if l.Ignored != l.IgnoredRows {
		a.find("Partition %d: %d events were ignored, but %d have their reason kept.", p.Partition, l.Ignored, l.IgnoredRows)
	}
	missing, err := a.examine(ctx, db, bus, &p, l)
	if err != nil {
		return err
	}
	// What left with its client has no row any more, and that is right; nor have
	// its duplicates then.
	gone := l.Erased
	if gone > 0 {
		gone += l.Duplicate
	}
	if n := int64(len(missing)); n > gone {
		a.find("Partition %d: no row answers for %d accepted events, %d of which may have left with their client; sequences %s.",
			p.Partition, n, l.Erased, someOf(missing))
	}
	a.Partitions = append(a.Partitions, p)
	return nil
}

// examine looks up the row of every record that the stream still has.
func (a *AuditReport) examine(ctx context.Context, db *store.DB, bus *jetstream.Bus, p *AuditPartition, l store.LedgerLine) ([]uint64, error) {
	var missing []uint64
	chunk := make([]store.Evidence, 0, auditChunk)
	next := uint64(p.From) //nolint:gosec // a stream sequence
	flush := func() error {
		gone, err := db.WithoutEvidence(ctx, p.Partition, l.Incarnation, chunk)
		missing = append(missing, gone...)
		p.Examined += int64(len(chunk))
		chunk = chunk[:0]
		return err
	}
	if p.To < p.From {
		return nil, nil
	}
	err := bus.Scan(ctx, p.Partition, next, uint64(p.To), func(rec jetstream.Record) error { //nolint:gosec // a stream sequence
		e := store.Evidence{Seq: rec.Seq, Index: rec.Index}
		if rec.Err == nil {
			if in := decode(&rec); in.Unstorable == nil {
				ev := *in.Event
				ev.Raw = nil
				e.Event = &ev
			}
		}
		if chunk = append(chunk, e); len(chunk) == auditChunk {
			return flush()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return missing, flush()
}

func someOf(seqs []uint64) string {
	const most = 10
	var b strings.Builder
	for i, s := range seqs {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(seqs)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, s)
	}
	return b.String()
}
