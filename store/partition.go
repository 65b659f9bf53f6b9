package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/inbox"
)

// PartitionStream is what the bus says of a partition's stream.
type PartitionStream struct {
	Partition int
	Name      string
	// Identity differs once the stream was deleted and made again.
	Identity string
	// First is the oldest sequence kept, Last the newest given out.
	First, Last uint64
}

// Partition is a partition's row: cursor, fence and ledger.
type Partition struct {
	Partition  int
	Stream     string
	Identity   string    `db:"stream_identity"`
	Base       int64     `db:"base_seq"`
	LastSeq    int64     `db:"last_seq"`
	Epoch      int64     `db:"epoch"`
	Owner      *string   `db:"owner"`
	LeaseUntil time.Time `db:"lease_until"`
	// Frames and Events count what was read up to LastSeq.
	Frames, Events int64
	// The four ends of every accepted event.
	Persisted, Duplicate, Ignored, Quarantined int64
	// Fenced counts batches that were rolled back because the lease was lost.
	Fenced      int64
	Incarnation int
	// Carried counts what earlier incarnations stored.
	Carried int64
}

// Gap is the number of frames up to LastSeq that were never read, and of events
// that none of the four counters answers for: 0 unless something was lost.
func (p Partition) Gap() int64 { return p.MissingFrames() + p.EndlessEvents() }

// MissingFrames is how many frames the cursor passed without reading them.
func (p Partition) MissingFrames() int64 { return p.LastSeq - p.Base - p.Frames }

// EndlessEvents is how many events were read and ended as nothing.
func (p Partition) EndlessEvents() int64 {
	return p.Events - p.Persisted - p.Duplicate - p.Ignored - p.Quarantined
}

// PartitionLease is the right to store a partition's events until it is taken
// over; every batch is fenced by its epoch and previous sequence.
type PartitionLease struct {
	Partition   int
	Epoch       int64
	LastSeq     uint64
	Incarnation int
}

// EnsurePartitions makes the rows of new streams and refuses streams that are
// not the ones the ledger answers for. It reads the streams twice: once to make
// the rows, and once after the ledger was read, because other routers move it
// along meanwhile and a stream that was read before would seem to end too early.
func (db *DB) EnsurePartitions(ctx context.Context, read func(context.Context) ([]PartitionStream, error)) error {
	streams, err := read(ctx)
	if err != nil {
		return err
	}
	var known []Partition
	if err := db.asWorker(ctx, func(tx pgx.Tx) (err error) {
		for _, s := range streams {
			if _, err := tx.Exec(ctx, `
				INSERT INTO parley_partitions (partition, stream, stream_identity, base_seq, last_seq)
				VALUES ($1, $2, $3, $4, $4) ON CONFLICT (partition) DO NOTHING`,
				s.Partition, s.Name, s.Identity, int64(s.First)-1); err != nil { //nolint:gosec // a stream sequence
				return err
			}
		}
		known, err = partitions(ctx, tx)
		return err
	}); err != nil {
		return err
	}
	if streams, err = read(ctx); err != nil {
		return err
	}
	return checkStreams(known, streams)
}

// checkStreams holds the ledger's rows against the bus's streams.
func checkStreams(known []Partition, streams []PartitionStream) error {
	if len(known) != len(streams) {
		return &inbox.Error{
			Code:    inbox.Conflict,
			Message: fmt.Sprintf("The database knows %d partitions, the bus has %d streams.", len(known), len(streams)),
			Hint:    fmt.Sprintf("Start with --partitions %d; a new count starts only after the old streams are drained.", len(known)),
		}
	}
	for i, p := range known {
		s := streams[i]
		switch {
		case p.Identity != s.Identity:
			return recoverError(fmt.Sprintf(
				"Stream %s is not the one this database has read up to %d: it was deleted and made again, or another NATS is connected.",
				s.Name, p.LastSeq))
		case s.Last < uint64(p.LastSeq): //nolint:gosec // a stream sequence
			return recoverError(fmt.Sprintf(
				"Stream %s ends at %d, but this database has read it up to %d: NATS was restored from an older backup.",
				s.Name, s.Last, p.LastSeq))
		case s.First > uint64(p.LastSeq)+1: //nolint:gosec // a stream sequence
			return recoverError(fmt.Sprintf(
				"Stream %s begins at %d, but this database has read it only up to %d: the database was restored from an older backup, or events were purged.",
				s.Name, s.First, p.LastSeq))
		}
	}
	return nil
}

func recoverError(message string) error {
	return &inbox.Error{
		Code:    inbox.Conflict,
		Message: message,
		Hint: "Connect the NATS that belongs to this database, or restore the newer backup of the one that is behind. " +
			"To go on with what is there, run `parley migrate --adopt-streams`: everything the streams still hold is read again, " +
			"stored messages are recognised as duplicates, and the audit says from where on it can answer.",
	}
}

// AdoptStreams makes the streams as they are the ones this database answers
// for, from their first kept event on.
func (db *DB) AdoptStreams(ctx context.Context, streams []PartitionStream) error {
	return db.asWorker(ctx, func(tx pgx.Tx) error {
		for _, s := range streams {
			if _, err := tx.Exec(ctx, `
				UPDATE parley_partitions
				   SET stream = $2, stream_identity = $3, base_seq = $4, last_seq = $4,
				       incarnation = incarnation + 1, epoch = epoch + 1, lease_until = '-infinity', owner = NULL,
				       carried = carried + persisted,
				       frames = 0, events = 0, persisted = 0, duplicate = 0, ignored = 0, quarantined = 0
				 WHERE partition = $1`,
				s.Partition, s.Name, s.Identity, int64(s.First)-1); err != nil { //nolint:gosec // a stream sequence
				return fmt.Errorf("adopting %s: %w", s.Name, err)
			}
		}
		return nil
	})
}

// Partitions lists the ledger in order.
func (db *DB) Partitions(ctx context.Context) ([]Partition, error) {
	var list []Partition
	err := db.asWorker(ctx, func(tx pgx.Tx) (err error) {
		list, err = partitions(ctx, tx)
		return err
	})
	return list, err
}

func partitions(ctx context.Context, tx pgx.Tx) ([]Partition, error) {
	rows, err := tx.Query(ctx, `
		SELECT partition, stream, stream_identity, base_seq, last_seq, epoch, owner,
		       CASE WHEN lease_until = '-infinity' THEN to_timestamp(0) ELSE lease_until END AS lease_until,
		       frames, events, persisted, duplicate, ignored, quarantined, fenced, incarnation, carried
		  FROM parley_partitions ORDER BY partition`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Partition])
}

// TakePartition takes one partition whose lease ran out, for ttl by the
// database's clock, and raises its epoch: whoever held it before is fenced. It
// returns nil when every partition is held.
func (db *DB) TakePartition(ctx context.Context, owner string, ttl time.Duration) (*PartitionLease, error) {
	var lease PartitionLease
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			UPDATE parley_partitions
			   SET epoch = epoch + 1, owner = $1, lease_until = clock_timestamp() + $2
			 WHERE partition = (SELECT partition FROM parley_partitions
			                     WHERE lease_until < clock_timestamp()
			                     ORDER BY lease_until, partition LIMIT 1 FOR UPDATE SKIP LOCKED)
			RETURNING partition, epoch, last_seq, incarnation`, owner, ttl).
			Scan(&lease.Partition, &lease.Epoch, &lease.LastSeq, &lease.Incarnation)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("taking a partition: %w", err)
	}
	return &lease, nil
}

// RenewPartition prolongs a lease to ttl from now, or returns ErrFenced.
func (db *DB) RenewPartition(ctx context.Context, l *PartitionLease, ttl time.Duration) error {
	return db.ownPartition(ctx, l, `UPDATE parley_partitions SET lease_until = clock_timestamp() + $3
		WHERE partition = $1 AND epoch = $2`, ttl)
}

// ReloadPartition reads the lease's cursor again: after a commit whose answer
// was lost, the batch is either stored or not. ErrFenced means that the lease
// is over.
func (db *DB) ReloadPartition(ctx context.Context, l *PartitionLease) error {
	var last int64
	err := db.asWorker(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT last_seq FROM parley_partitions WHERE partition = $1 AND epoch = $2`,
			l.Partition, l.Epoch).Scan(&last)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("partition %d: %w", l.Partition, ErrFenced)
	}
	if err != nil {
		return fmt.Errorf("partition %d: %w", l.Partition, err)
	}
	l.LastSeq = uint64(last) //nolint:gosec // a stream sequence
	return nil
}

// ReleasePartition ends a lease, so that another may take it at once.
func (db *DB) ReleasePartition(ctx context.Context, l *PartitionLease) error {
	return db.ownPartition(ctx, l, `UPDATE parley_partitions SET lease_until = '-infinity', owner = NULL
		WHERE partition = $1 AND epoch = $2`)
}

func (db *DB) ownPartition(ctx context.Context, l *PartitionLease, sql string, args ...any) error {
	return db.asWorker(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, append([]any{l.Partition, l.Epoch}, args...)...)
		if err != nil {
			return fmt.Errorf("partition %d: %w", l.Partition, err)
		}
		if tag.RowsAffected() == 0 {
			return fmt.Errorf("partition %d: %w", l.Partition, ErrFenced)
		}
		return nil
	})
}

// CountFenced records that a batch of this partition was rolled back by the
// fence, so that it shows whichever process it happened to.
func (db *DB) CountFenced(ctx context.Context, partition int) error {
	return db.asWorker(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE parley_partitions SET fenced = fenced + 1 WHERE partition = $1`, partition)
		return err
	})
}
