package store

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// FuzzAppendUUID holds what we take for a UUID against the library.
func FuzzAppendUUID(f *testing.F) {
	id := "0190163d-8694-739b-aea5-966c26f8ad91"
	for _, s := range []string{id, strings.ToUpper(id), strings.ReplaceAll(id, "-", ""), "{" + id + "}", id[:35], id[:35] + "g", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := uuid.Parse(s)
		got, ok := appendUUID(nil, s)
		if canonical := err == nil && len(s) == 36; ok != canonical {
			t.Fatalf("%q: taken %v, is one %v", s, ok, canonical)
		}
		if ok && !bytes.Equal(got, want[:]) {
			t.Fatalf("%q: %x, want %x", s, got, want)
		}
	})
}

// TestUUIDArrays holds our bytes against those that pgx makes of the same ids.
func TestUUIDArrays(t *testing.T) {
	plain := pgtype.NewMap()
	ours := pgtype.NewMap()
	useUUIDArrays(ours)
	for _, list := range [][]string{nil, {}, {uuid.NewString()}, {uuid.NewString(), uuid.NewString(), uuid.Nil.String()}} {
		ids := pgtype.FlatArray[pgtype.UUID](nil)
		if list != nil {
			ids = pgtype.FlatArray[pgtype.UUID]{}
		}
		for _, s := range list {
			ids = append(ids, pgtype.UUID{Bytes: uuid.MustParse(s), Valid: true})
		}
		want, err := plain.Encode(pgtype.UUIDArrayOID, pgtype.BinaryFormatCode, ids, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ours.Encode(pgtype.UUIDArrayOID, pgtype.BinaryFormatCode, list, nil)
		if err != nil || !bytes.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("%v: %x, %v; want %x", list, got, err, want)
		}
	}
	if _, err := ours.Encode(pgtype.UUIDArrayOID, pgtype.BinaryFormatCode, []string{"none"}, nil); err == nil {
		t.Error("what is no UUID is sent as one")
	}
}
