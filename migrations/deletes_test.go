package migrations_test

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestDeletes(t *testing.T) {
	t.Parallel()
	newDeletions(open(t)).all()
}

// deletions is a world of two tenants, A with two clients, and what was there
// before the second of them, and before tenant A.
type deletions struct {
	s *session
	w *tenantWorld
	c *clientWorld
	// Row counts of every tenant table.
	withoutA, withoutClient, whole map[string]int
}

func newDeletions(s *session) *deletions {
	s.t.Helper()
	d := &deletions{s: s}
	seedClient(s, seedTenant(s, tenantB), "+4920")
	d.withoutA = census(s)
	d.w = seedTenant(s, tenantA)
	first := seedClient(s, d.w, "+4910")
	// A former agent, whose member no insert could make.
	s.exec("UPDATE crm_chat_members SET user_id = $1 WHERE id = $2",
		one[int](s, "INSERT INTO core_users (name) VALUES ('Ben') RETURNING id"), first.agent)
	s.exec("DELETE FROM core_users WHERE name = 'Ben'")
	d.withoutClient = census(s)
	d.c = seedClient(s, d.w, "+4911")
	d.whole = census(s)
	return d
}

// who deletes.
type who struct{ role, tenant string }

var (
	whoDeletesClients = []who{{owner, tenantA}, {worker, ""}, {api, tenantA}}
	whoDeletesTenants = []who{{owner, tenantA}, {worker, ""}}
)

// all tries every deletion as everybody who may, and looks for what is left.
func (d *deletions) all() {
	d.s.t.Helper()
	for _, as := range whoDeletesClients {
		d.client(as, d.thorough)
	}
	for _, as := range whoDeletesTenants {
		d.tenant(as, d.thorough)
		d.user(as, d.thorough)
	}
	d.s.undone(func() {
		d.s.act(worker, "")
		d.s.exec("DELETE FROM core_users WHERE id = $1", d.w.user)
		d.s.act(api, tenantA)
		if n := one[int](d.s, `SELECT count(*)::int FROM crm_chat_messages JOIN crm_chat_members m ON m.id = sender_id
			WHERE m.id = $1 AND m.user_id IS NULL AND m.client_id IS NULL`, d.c.agent); n != 2 {
			d.s.t.Errorf("%d messages of the former agent, expected 2", n)
		}
	})
}

// thorough counts every table and follows every reference.
func (d *deletions) thorough(expected map[string]int, except ...string) {
	d.s.t.Helper()
	sameCensus(d.s, expected, census(d.s), except...)
	noOrphans(d.s)
}

// quick counts the data model's tables.
func (d *deletions) quick(expected map[string]int, _ ...string) {
	d.s.t.Helper()
	sameCensus(d.s, expected, countRows(d.s, []string{
		"crm_clients", "crm_client_contacts", "crm_chats", "crm_chat_members", "crm_chat_messages",
		"crm_chat_message_attachments", "crm_message_templates",
	}))
}

// A check compares what is left with the expected row counts.
type check func(expected map[string]int, except ...string)

func (d *deletions) client(as who, c check) {
	d.s.t.Helper()
	d.try(as, func() {
		// Uploads are the tenant's; a lane's row goes when a dispatcher looks at it.
		c(d.withoutClient, "core_uploads", "parley_lanes")
	}, "DELETE FROM crm_clients WHERE id = $1", d.c.client)
}

func (d *deletions) tenant(as who, c check) {
	d.s.t.Helper()
	d.try(as, func() {
		// Facts are on their way to the bus, and gone once they are there.
		c(d.withoutA, "parley_facts")
	}, "DELETE FROM tenants WHERE id = $1", tenantA)
}

func (d *deletions) user(as who, c check) {
	d.s.t.Helper()
	expected := maps.Clone(d.whole)
	expected["core_users"]--
	// What they have not finished sending goes with them.
	expected["parley_resumables"]--
	expected["parley_resumable_parts"]--
	d.try(as, func() { c(expected) }, "DELETE FROM core_users WHERE id = $1", d.w.user)
}

func (d *deletions) try(as who, then func(), sql string, arg any) {
	d.s.t.Helper()
	d.s.undone(func() {
		d.s.act(as.role, as.tenant)
		if err := d.s.try(sql, arg); err != nil {
			d.s.t.Errorf("%s as %s: %s", sql, as.role, describe(err))
			return
		}
		then()
	})
}

// The triggers of foreign keys fire in the order in which the keys were created,
// and a restored dump creates them in another one.
func TestDeletesInEveryOrderOfKeys(t *testing.T) {
	t.Parallel()
	t.Run("client", func(t *testing.T) {
		t.Parallel()
		d := newDeletions(open(t))
		inEveryOrder(d.s, []string{
			"fk_crm_client_contacts_client_id", "fk_crm_chats_client_id", "fk_crm_chat_members_client_id",
			"fk_crm_chat_members_chat_id", "fk_crm_chat_messages_chat_id", "fk_crm_chat_messages_sender_id",
		}, func(i int) { d.client(whoDeletesClients[i%len(whoDeletesClients)], d.quick) })
	})
	t.Run("tenant", func(t *testing.T) {
		t.Parallel()
		d := newDeletions(open(t))
		// Those of the tenant's tables that others refer to.
		inEveryOrder(d.s, []string{
			"fk_crm_clients_tenant_id", "fk_crm_chats_tenant_id", "fk_crm_chat_members_tenant_id",
			"parley_channels_tenant_id_fkey", "core_users_tenant_id_fkey", "core_uploads_tenant_id_fkey",
		}, func(i int) { d.tenant(whoDeletesTenants[i%len(whoDeletesTenants)], d.quick) })
	})
	// Whatever else refers to one table: only the order of triggers on the same
	// table can matter.
	t.Run("each table", func(t *testing.T) {
		t.Parallel()
		d := newDeletions(open(t))
		groups := map[string][]string{}
		for _, key := range foreignKeys(d.s) {
			if key.Parent != "tenants" && !slices.Contains(followers, key.Name) {
				groups[key.Parent] = append(groups[key.Parent], key.Name)
			}
		}
		for _, parent := range slices.Sorted(maps.Keys(groups)) {
			if len(groups[parent]) > 5 {
				t.Fatalf("%d keys refer to %s: choose which orders can matter", len(groups[parent]), parent)
			}
			inEveryOrder(d.s, groups[parent], func(i int) {
				as := whoDeletesTenants[i%len(whoDeletesTenants)]
				d.client(as, d.quick)
				d.tenant(as, d.quick)
				d.user(as, d.quick)
			})
		}
	})
}

// followers are the keys of tables that nothing refers to and no trigger watches:
// when their rows go along makes no difference to any other.
var followers = []string{
	"parley_message_words_message", "parley_client_words_client", "parley_words_stale_message", "parley_words_stale_client",
	"parley_mails_message", "parley_copies_message", "parley_links_message", "parley_reactions_message",
	"parley_albums_delivery",
	// What refers to these is referred to by nothing.
	"parley_merges_into", "parley_merges_from",
	"parley_scheduled_user", "parley_scheduled_files_scheduled",
	"parley_autoreplies_client", "parley_hours_channel",
	"parley_alert_settings_user", "parley_alert_bots_channel", "parley_presence_user", "parley_alerts_user", "parley_alerts_chat",
	"parley_invitations_maker", "parley_resumables_user", "parley_resumable_parts_of",
	"parley_team_members_team", "parley_team_members_user", "parley_chat_labels_chat", "parley_chat_labels_label",
	"parley_notes_chat", "parley_notes_user", "parley_drafts_chat", "parley_drafts_user", "parley_drafts_channel",
	"parley_drafts_reply_to",
	// They only empty a column, which no other key's action looks at.
	"parley_chats_assignee", "parley_chats_team",
}

// inEveryOrder creates the foreign keys anew in every order and calls f with
// the number of each. It leaves the last one in place.
func inEveryOrder(s *session, names []string, f func(i int)) {
	s.t.Helper()
	keys := map[string]foreignKey{}
	for _, key := range foreignKeys(s) {
		keys[key.Name] = key
	}
	var current []string
	orders := 0
	for order := range permutations(names) {
		// What was created first and stays first need not be touched.
		stay := 0
		for stay < len(current) && current[stay] == order[stay] {
			stay++
		}
		s.act(owner, "")
		for _, name := range order[stay:] {
			key, ok := keys[name]
			if !ok {
				s.t.Fatalf("there is no foreign key %s", name)
			}
			s.exec(fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s, ADD CONSTRAINT %[2]s %[3]s", key.Child, name, key.Definition))
		}
		current = slices.Clone(order)
		f(orders)
		if s.t.Failed() {
			s.t.Fatalf("in this order: %s; by trigger: %s", strings.Join(order, ", "), strings.Join(triggerOrder(s, names), ", "))
		}
		orders++
	}
	s.t.Logf("%d orders of %s", orders, strings.Join(names, ", "))
}

// triggerOrder is the order in which the keys' actions fire where they meet on
// one table: by name, which ends in a number that is compared as text.
func triggerOrder(s *session, names []string) []string {
	s.t.Helper()
	s.act(owner, "")
	return query[string](s, `SELECT conname::text FROM pg_trigger t JOIN pg_constraint c ON c.oid = tgconstraint
		WHERE conname = ANY ($1) AND tgrelid = confrelid AND tgtype & 8 <> 0 ORDER BY tgname`, names)
}

// permutations yields every order of names, in lexicographic order of their
// places, so that neighbours begin alike. The slice is reused.
func permutations(names []string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		order := make([]string, 0, len(names))
		used := make([]bool, len(names))
		var extend func() bool
		extend = func() bool {
			if len(order) == len(names) {
				return yield(order)
			}
			for i, name := range names {
				if used[i] {
					continue
				}
				used[i], order = true, append(order, name)
				ok := extend()
				used[i], order = false, order[:len(order)-1]
				if !ok {
					return false
				}
			}
			return true
		}
		extend()
	}
}
