package transports

import (
	"sort"
	"unicode/utf8"

	"parley/events"
)

// mark is an entity with its place in bytes.
type mark struct {
	extent
	entity events.Entity
}

// marksOf places entities in a text. One that reaches beyond the text is
// shortened to it; half a surrogate pair counts as all of it; what marks up
// nothing is left out.
func marksOf(text string, entities []events.Entity) []mark {
	if len(entities) == 0 {
		return nil
	}
	at := byteOffsets(text, entities)
	out := make([]mark, 0, len(entities))
	for _, e := range entities {
		if e.Length <= 0 || e.Offset+e.Length <= 0 {
			continue
		}
		m := mark{extent: extent{at.floor(e.Offset), at.ceil(e.Offset + e.Length)}, entity: e}
		if m.from < m.to {
			out = append(out, m)
		}
	}
	return out
}

// offsets are places in a text, in UTF-16 units and in bytes, both rising.
type offsets struct{ units, bytes []int }

// byteOffsets finds where entities begin and end.
func byteOffsets(text string, entities []events.Entity) offsets {
	wanted := make([]int, 0, 2*len(entities))
	for _, e := range entities {
		wanted = append(wanted, e.Offset, e.Offset+e.Length)
	}
	sort.Ints(wanted)
	o := offsets{units: []int{0}, bytes: []int{0}}
	units, next := 0, 0
	for i, r := range text {
		for next < len(wanted) && wanted[next] <= units {
			next++
		}
		if next == len(wanted) {
			return o
		}
		width := UTF16Units.width(r)
		units += width
		// Both sides of every rune that a wanted place touches.
		if wanted[next] <= units {
			if o.units[len(o.units)-1] != units-width {
				o.units, o.bytes = append(o.units, units-width), append(o.bytes, i)
			}
			o.units, o.bytes = append(o.units, units), append(o.bytes, i+utf8.RuneLen(r))
		}
	}
	if o.units[len(o.units)-1] != units {
		o.units, o.bytes = append(o.units, units), append(o.bytes, len(text))
	}
	return o
}

// floor is the byte offset at a unit offset, or before the rune that it cuts.
func (o offsets) floor(units int) int {
	i := sort.SearchInts(o.units, units+1) - 1
	return o.bytes[max(i, 0)]
}

// ceil is the byte offset at a unit offset, or behind the rune that it cuts.
func (o offsets) ceil(units int) int {
	i := sort.SearchInts(o.units, units)
	return o.bytes[min(i, len(o.bytes)-1)]
}

// unbreakable are the extents that fit a part and are not to be cut.
func unbreakable(text string, marks []mark, limit int, unit TextUnit) []extent {
	var out []extent
	for _, m := range marks {
		if unit.fits(text[m.from:m.to], limit) {
			out = append(out, m.extent)
		}
	}
	return out
}

// inside reports whether a cut at i would go through one of the extents.
func inside(whole []extent, i int) bool {
	for _, e := range whole {
		if e.from < i && i < e.to {
			return true
		}
	}
	return false
}

// marksWithin are the entities of a piece of a text, counted from its start.
func marksWithin(text string, marks []mark, piece extent) []events.Entity {
	var out []events.Entity
	for _, m := range marks {
		from, to := max(m.from, piece.from), min(m.to, piece.to)
		if from >= to {
			continue
		}
		e := m.entity
		e.Offset = UTF16Units.Count(text[piece.from:from])
		e.Length = UTF16Units.Count(text[from:to])
		out = append(out, e)
	}
	return out
}
