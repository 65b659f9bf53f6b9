package inbox

import (
	"strings"
	"time"
)

// BlockKind says what a block rule compares.
type BlockKind string

// The kinds of block rules.
const (
	// BlockValue is a number, mail address, account or username in full.
	BlockValue BlockKind = "value"
	// BlockDomain is a mail domain and every one below it.
	BlockDomain BlockKind = "domain"
	// BlockPattern has * for any characters and ? for one.
	BlockPattern BlockKind = "pattern"
)

// BlockRule says who may not write. What they write is kept as ignored.
type BlockRule struct {
	ID        int64     `json:"id" db:"id"`
	Kind      BlockKind `json:"kind" db:"kind" enum:"value,domain,pattern"`
	Value     string    `json:"value" db:"value"`
	Note      string    `json:"note,omitempty" db:"note"`
	CreatedAt time.Time `json:"created_at" db:"created_at"`
}

// Clean returns the rule as it is kept, or Invalid.
func (r BlockRule) Clean() (BlockRule, error) {
	r.Value = strings.ToLower(strings.TrimSpace(r.Value))
	if r.Kind == BlockDomain {
		r.Value = strings.TrimLeft(r.Value, "@.")
	}
	refuse := func(message, hint string) (BlockRule, error) {
		return BlockRule{}, &Error{Code: Invalid, Message: message, Hint: hint}
	}
	switch {
	case r.Value == "" || len(r.Value) > 512 || strings.ContainsFunc(r.Value, func(c rune) bool { return c < ' ' }):
		return refuse("The block rule has no value of 1 to 512 characters.", "Name a number, an address, a mail domain or a pattern.")
	case r.Kind != BlockValue && r.Kind != BlockDomain && r.Kind != BlockPattern:
		return refuse("There is no such kind of block rule.", "The kinds are value, domain and pattern.")
	case r.Kind == BlockDomain && strings.Contains(r.Value, "@"):
		return refuse("A mail domain has no @ in it.", "Block one address with the kind value.")
	case r.Kind == BlockPattern && strings.Trim(r.Value, "*?") == "":
		return refuse("The pattern would block everybody.", "Pause the channel instead.")
	}
	return r, nil
}

// Matches reports whether somebody of that number, address or name is blocked.
func (r BlockRule) Matches(who string) bool {
	who = strings.ToLower(who)
	switch r.Kind {
	case BlockValue:
		return who != "" && who == r.Value
	case BlockDomain:
		at := strings.LastIndexByte(who, '@')
		return at >= 0 && (who[at+1:] == r.Value || strings.HasSuffix(who[at+1:], "."+r.Value))
	case BlockPattern:
		return who != "" && glob([]rune(r.Value), []rune(who))
	}
	return false
}

// glob matches in time proportional to both lengths multiplied: where a star
// matched too little, only the last one takes more.
func glob(pattern, text []rune) bool {
	p, t, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p, t = p+1, t+1
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
