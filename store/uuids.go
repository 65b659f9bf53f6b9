package store

import (
	"encoding/binary"
	"encoding/hex"
	"errors"

	"github.com/jackc/pgx/v5/pgtype"
)

// uuidArrays writes lists of UUIDs in text, as ids are everywhere else, in
// PostgreSQL's binary form. pgx's own codec fails at them, formats an error with
// the whole list in it, and sends text, which PostgreSQL has to parse: together
// some 4 % of what a message costs.
type uuidArrays struct{ *pgtype.ArrayCodec }

// PlanEncode is pgtype.Codec's. What it does not know is left to pgx.
func (c uuidArrays) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, text := value.([]string); text && format == pgtype.BinaryFormatCode {
		return uuidArrayPlan{}
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

// useUUIDArrays has a connection use them.
func useUUIDArrays(types *pgtype.Map) {
	if t, ok := types.TypeForOID(pgtype.UUIDArrayOID); ok {
		if codec, ok := t.Codec.(*pgtype.ArrayCodec); ok {
			types.RegisterType(&pgtype.Type{Name: t.Name, OID: t.OID, Codec: uuidArrays{codec}})
		}
	}
}

type uuidArrayPlan struct{}

var errNoUUID = errors.New("not a UUID in its canonical form")

// Encode is pgtype.EncodePlan's. After an error pgx sends text: PostgreSQL takes
// more forms than this, and has words for what is none.
func (uuidArrayPlan) Encode(value any, buf []byte) ([]byte, error) {
	list := value.([]string) //nolint:forcetypeassert // PlanEncode saw to it
	if list == nil {
		return nil, nil
	}
	be := binary.BigEndian
	// Dimensions, no NULLs, the element's type; then length and first index.
	buf = be.AppendUint32(be.AppendUint32(be.AppendUint32(buf, 1), 0), pgtype.UUIDOID)
	buf = be.AppendUint32(be.AppendUint32(buf, uint32(len(list))), 1) //nolint:gosec // a batch
	for _, s := range list {
		var ok bool
		if buf, ok = appendUUID(be.AppendUint32(buf, 16), s); !ok {
			return nil, errNoUUID
		}
	}
	return buf, nil
}

// appendUUID appends the 16 bytes of 8-4-4-4-12 hexadecimal digits.
func appendUUID(buf []byte, s string) ([]byte, bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return buf, false
	}
	var digits [32]byte
	n := copy(digits[:], s[:8])
	for _, at := range [...]int{9, 14, 19} {
		n += copy(digits[n:], s[at:at+4])
	}
	copy(digits[n:], s[24:])
	buf, err := hex.AppendDecode(buf, digits[:])
	return buf, err == nil
}
