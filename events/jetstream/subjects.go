package jetstream

import (
	"fmt"
	"strconv"
	"strings"

	"parley/events"
)

// Names of the streams and buckets. Everything of Parley's on a shared NATS
// starts with PARLEY_ or parley.
const (
	inboundPrefix  = "PARLEY_IN_"
	factStream     = "PARLEY_FACTS"
	factPrefix     = "parley.fact."
	wakePrefix     = "parley.wake."
	channelsBucket = "PARLEY_CHANNELS"
	cursorsBucket  = "PARLEY_CURSORS"
	leasesBucket   = "PARLEY_LEASES"
	healthBucket   = "PARLEY_HEALTH"
	erasuresBucket = "PARLEY_ERASURES"
)

// buckets are all key-value buckets.
func buckets() []string {
	return []string{channelsBucket, cursorsBucket, leasesBucket, healthBucket, erasuresBucket}
}

// FactStream is the facts' stream, the only one that drops the oldest when it is full:
// facts must never hold up work.
const FactStream = factStream

// inboundStream is the stream of partition p.
func inboundStream(p int) string { return fmt.Sprintf("%s%02d", inboundPrefix, p) }

// inboundSubject is the one subject of partition p's stream.
func inboundSubject(p int) string { return "parley.in." + strconv.Itoa(p) }

// factSubject is parley.fact.<tenant>.<noun>.<verb>.<chat>.
func factSubject(f events.Fact) (string, error) {
	for _, t := range []string{string(f.Tenant), f.Noun, f.Verb} {
		if !validToken(t) {
			return "", fmt.Errorf("%w: fact %d: %q cannot be part of a subject", ErrInvalid, f.ID, t)
		}
	}
	return factPrefix + string(f.Tenant) + "." + f.Noun + "." + f.Verb + "." + strconv.FormatInt(f.Chat, 10), nil
}

// factFilter matches a tenant's facts: of one chat, or with chat nil of all.
func factFilter(tenant events.TenantID, chat *int64) (string, error) {
	if !validToken(string(tenant)) {
		return "", fmt.Errorf("%w: %q is not a tenant", ErrInvalid, tenant)
	}
	if chat == nil {
		return factPrefix + string(tenant) + ".>", nil
	}
	return factPrefix + string(tenant) + ".*.*." + strconv.FormatInt(*chat, 10), nil
}

// validToken keeps separators and wildcards out of subjects: a tenant named "*"
// would otherwise read everybody's facts
// (https://docs.nats.io/nats-concepts/subjects).
func validToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(".*>$", r)
	})
}
