package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Why something is ignored.
const (
	ignoredErased = "its sender was erased"
	ignoredBlock  = "blocked: "
)

// obey sets aside what people decided not to have: what was erased and comes
// again, and who is blocked. Tenants that decided nothing cost nothing.
func (b *batch) obey(ctx context.Context, tx pgx.Tx) error {
	if len(b.erasing) > 0 {
		if err := b.forget(ctx, tx); err != nil {
			return fmt.Errorf("looking up what was erased: %w", err)
		}
	}
	if len(b.blocking) > 0 {
		if err := b.block(ctx, tx); err != nil {
			return fmt.Errorf("looking up who is blocked: %w", err)
		}
	}
	return nil
}

// setAside ignores the events that why gives a reason for.
func (b *batch) setAside(list []*inbound, why func(*inbound) string) []*inbound {
	return slices.DeleteFunc(list, func(in *inbound) bool {
		words := why(in)
		if words == "" {
			return false
		}
		in.ignored, in.erased = words, words == ignoredErased
		b.result.Outcomes[in.ord] = Ignored
		b.ignored = append(b.ignored, in)
		return true
	})
}

// sqlBuried finds what was erased.
const sqlBuried = `
SELECT i.ord, t.erased_at
  FROM unnest($1::uuid[], $2::bytea[]) WITH ORDINALITY AS i (tenant_id, digest, ord)
  JOIN parley_tombstones t ON t.tenant_id = i.tenant_id AND t.digest = i.digest`

// grave is a hash to ask about: of a message or mail, which holds for ever, or of
// a person, which holds for what they sent before they were erased.
type grave struct {
	in     *inbound
	digest []byte
	person bool
}

// forget ignores what was erased.
func (b *batch) forget(ctx context.Context, tx pgx.Tx) error {
	var graves []grave
	for _, in := range slices.Concat(b.messages, b.updates) {
		if slices.Contains(b.erasing, string(in.event.Tenant)) {
			graves = append(graves, b.graves(in)...)
		}
	}
	buried, err := exhume(ctx, tx, graves)
	if err != nil {
		return err
	}
	why := func(in *inbound) string {
		if buried[in] {
			return ignoredErased
		}
		return ""
	}
	b.messages, b.updates = b.setAside(b.messages, why), b.setAside(b.updates, why)
	return nil
}

// graves are the hashes under which an event may have been erased.
func (b *batch) graves(in *inbound) []grave {
	ev := in.event
	var list []grave
	if ev.Key.Valid() {
		list = append(list, grave{in: in, digest: buryMessage(b.erasureKey, string(ev.Channel), ev.Key.Chat, ev.Key.Message, int16(ev.Key.Part))}) //nolint:gosec // adapters split a message into a handful of parts
	}
	if ev.Status != nil && ev.Status.Ref != "" {
		list = append(list, grave{in: in, digest: bury(b.erasureKey, "ref", ev.Status.Ref)})
	}
	if in.who != nil {
		for _, d := range in.digests() {
			list = append(list, grave{in: in, digest: bury(b.erasureKey, "mail", string(d))})
		}
	}
	if id := ev.Person.Identity; id.Valid() {
		list = append(list, grave{in: in, digest: buryIdentity(b.erasureKey, id), person: true})
	}
	return list
}

func exhume(ctx context.Context, tx pgx.Tx, graves []grave) (map[*inbound]bool, error) {
	buried := make(map[*inbound]bool)
	tenants, digests := make([]string, len(graves)), make([][]byte, len(graves))
	for i, g := range graves {
		tenants[i], digests[i] = string(g.in.event.Tenant), g.digest
	}
	rows, err := tx.Query(ctx, sqlBuried, tenants, digests)
	if err != nil {
		return nil, err
	}
	var ord int
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&ord, &at}, func() error {
		if g := graves[ord-1]; !g.person || !sentAt(g.in.event).After(at) {
			buried[g.in] = true
		}
		return nil
	})
	return buried, err
}

// block ignores what those write whom a rule blocks.
func (b *batch) block(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT tenant_id::text, kind, value FROM parley_blocks WHERE tenant_id = ANY ($1::uuid[]) ORDER BY id`, b.blocking)
	if err != nil {
		return err
	}
	rules := make(map[events.TenantID][]inbox.BlockRule)
	var tenant events.TenantID
	var r inbox.BlockRule
	if _, err := pgx.ForEachRow(rows, []any{&tenant, &r.Kind, &r.Value}, func() error {
		rules[tenant] = append(rules[tenant], r)
		return nil
	}); err != nil {
		return err
	}
	b.messages = b.setAside(b.messages, func(in *inbound) string {
		if in.event.Ours {
			return ""
		}
		for _, r := range rules[in.event.Tenant] {
			if r.Matches(in.event.Person.Identity.Value) || r.Matches(strings.TrimPrefix(in.event.Person.Username, "@")) {
				return ignoredBlock + string(r.Kind) + " " + r.Value
			}
		}
		return ""
	})
	return nil
}
