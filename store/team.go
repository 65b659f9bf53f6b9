package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
)

// Limits of teams.
const (
	MaxTeams       = 200
	MaxTeamMembers = 500
)

// TeamChange is a new team, or what to change of one; nil fields stay.
type TeamChange struct {
	Name *string
	// Members are the ids of all its users from then on.
	Members *[]int64
	// IfVersion is the version that was read, 0 for any; another fails with
	// Changed.
	IfVersion int64
}

const teamSelect = `SELECT t.id, t.name, t.version,
	(SELECT json_agg(json_build_object('id', u.id, 'name', u.name) ORDER BY lower(u.name), u.id)
	   FROM parley_team_members m JOIN core_users u ON u.id = m.user_id WHERE m.team_id = t.id) AS members
  FROM parley_teams t`

func scanTeam(row pgx.CollectableRow) (t inbox.Team, err error) {
	err = row.Scan(&t.ID, &t.Name, &t.Version, &t.Members)
	if t.Members == nil {
		t.Members = []inbox.Named{}
	}
	return t, err
}

func teamByID(ctx context.Context, tx pgx.Tx, id int64) (inbox.Team, error) {
	rows, _ := tx.Query(ctx, teamSelect+" WHERE t.id = $1", id)
	t, err := pgx.CollectExactlyOneRow(rows, scanTeam)
	if errors.Is(err, pgx.ErrNoRows) {
		return t, &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("There is no team %d.", id), Hint: "List the teams to see which there are."}
	}
	return t, err
}

// Teams lists a tenant's teams by name, all of them: there are at most MaxTeams.
func (db *DB) Teams(ctx context.Context, tenant events.TenantID) (list []inbox.Team, err error) {
	if err := validTenant(tenant); err != nil {
		return nil, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, teamSelect+" ORDER BY lower(t.name), t.id")
		list, err = pgx.CollectRows(rows, scanTeam)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing teams: %w", err)
	}
	return list, nil
}

// AddTeam makes a team. The same key returns the team that it made before. It
// fails with Conflict when there is one of that name.
func (db *DB) AddTeam(ctx context.Context, tenant events.TenantID, by inbox.Actor, name string, members []int64, key string) (t inbox.Team, err error) {
	return db.changeTeam(ctx, tenant, by, "team.add", func(tx pgx.Tx) (id int64, err error) {
		if err := roomFor(ctx, tx, "parley_teams", "teams", MaxTeams); err != nil {
			return 0, err
		}
		err = tx.QueryRow(ctx, `INSERT INTO parley_teams (name, idempotency_key) VALUES ($1, nullif($2, ''))
			ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id`,
			strings.TrimSpace(name), key).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			var was string
			if err := tx.QueryRow(ctx, "SELECT id, name FROM parley_teams WHERE idempotency_key = $1", key).Scan(&id, &was); err != nil {
				return 0, err
			}
			if was != strings.TrimSpace(name) {
				return 0, keyReused()
			}
			return id, errRepeated
		}
		if err != nil {
			return 0, err
		}
		return id, setMembers(ctx, tx, id, members)
	})
}

// errRepeated says that a request made nothing, for it did before.
var errRepeated = errors.New("made before")

// ChangeTeam renames a team or changes who is in it.
func (db *DB) ChangeTeam(ctx context.Context, tenant events.TenantID, by inbox.Actor, id int64, c TeamChange) (inbox.Team, error) {
	return db.changeTeam(ctx, tenant, by, "team.change", func(tx pgx.Tx) (int64, error) {
		// Locked, so that two changes of the members do not mix.
		if _, err := tx.Exec(ctx, "SELECT FROM parley_teams WHERE id = $1 FOR NO KEY UPDATE", id); err != nil {
			return 0, err
		}
		was, err := teamByID(ctx, tx, id)
		if err != nil {
			return 0, err
		}
		if err := sameVersion(c.IfVersion, was.Version, "The team"); err != nil {
			return 0, err
		}
		if _, err := tx.Exec(ctx, "UPDATE parley_teams SET version = version + 1 WHERE id = $1", id); err != nil {
			return 0, err
		}
		if c.Name != nil {
			if _, err := tx.Exec(ctx, "UPDATE parley_teams SET name = $2 WHERE id = $1", id, strings.TrimSpace(*c.Name)); err != nil {
				return 0, err
			}
		}
		if c.Members == nil {
			return id, nil
		}
		return id, setMembers(ctx, tx, id, *c.Members)
	})
}

func (db *DB) changeTeam(ctx context.Context, tenant events.TenantID, by inbox.Actor, action string, f func(pgx.Tx) (int64, error)) (t inbox.Team, err error) {
	if err := validTenant(tenant); err != nil {
		return inbox.Team{}, err
	}
	err = db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		id, err := f(tx)
		repeated := errors.Is(err, errRepeated)
		if err != nil && !repeated {
			return err
		}
		if t, err = teamByID(ctx, tx, id); err != nil || repeated {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{
			Action: action, TargetKind: "team", TargetID: strconv.FormatInt(id, 10), Detail: map[string]any{"name": t.Name, "members": len(t.Members)},
		})
	})
	return t, namedError(err, "team", "parley_teams_name")
}

// setMembers makes the users all that are in a team.
func setMembers(ctx context.Context, tx pgx.Tx, team int64, users []int64) error {
	users = slices.Clone(users)
	slices.Sort(users)
	users = slices.Compact(users)
	if len(users) > MaxTeamMembers {
		return &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("A team has at most %d members.", MaxTeamMembers)}
	}
	if users == nil {
		users = []int64{}
	}
	var unknown *int64
	if err := tx.QueryRow(ctx, `SELECT min(i) FROM unnest($1::bigint[]) i WHERE NOT EXISTS (SELECT FROM core_users u WHERE u.id = i)`, users).Scan(&unknown); err != nil {
		return err
	}
	if unknown != nil {
		return noAccount(*unknown, pgx.ErrNoRows)
	}
	if _, err := tx.Exec(ctx, "DELETE FROM parley_team_members WHERE team_id = $1 AND user_id <> ALL ($2::bigint[])", team, users); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "INSERT INTO parley_team_members (team_id, user_id) SELECT $1, unnest($2::integer[]) ON CONFLICT DO NOTHING", team, users)
	return err
}

// DeleteTeam removes a team; its chats are nobody's or their user's then.
func (db *DB) DeleteTeam(ctx context.Context, tenant events.TenantID, by inbox.Actor, id int64) error {
	return db.deleteNamed(ctx, tenant, by, "team", id, func(tx pgx.Tx) (string, error) {
		t, err := teamByID(ctx, tx, id)
		if err != nil {
			return "", err
		}
		_, err = tx.Exec(ctx, "DELETE FROM parley_teams WHERE id = $1", id)
		return t.Name, err
	})
}

// deleteNamed removes what f finds and notes it under the name that f returns.
func (db *DB) deleteNamed(ctx context.Context, tenant events.TenantID, by inbox.Actor, kind string, id int64, f func(pgx.Tx) (string, error)) error {
	if err := validTenant(tenant); err != nil {
		return err
	}
	return db.inTenant(ctx, tenant, func(tx pgx.Tx) error {
		name, err := f(tx)
		if err != nil {
			return err
		}
		return appendAudit(ctx, tx, by, NewAuditEntry{
			Action: kind + ".delete", TargetKind: kind, TargetID: strconv.FormatInt(id, 10), Detail: map[string]any{"name": name},
		})
	})
}

// roomFor refuses one more of something of which a tenant has few. Two that are
// made at once may exceed the limit by one.
func roomFor(ctx context.Context, tx pgx.Tx, table, nouns string, most int) error {
	var n int
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM (SELECT FROM "+table+" LIMIT $1) x", most).Scan(&n); err != nil {
		return err
	}
	if n >= most {
		return &inbox.Error{Code: inbox.Refused, Message: fmt.Sprintf("There are %d %s already, which is the most.", n, nouns), Hint: "Delete one that is no longer needed."}
	}
	return nil
}

// namedError puts what the database refuses of a thing with a name into words.
func namedError(err error, kind, unique string) error {
	switch {
	case violates(err, unique):
		return &inbox.Error{Code: inbox.Conflict, Message: fmt.Sprintf("There is a %s of that name already.", kind), Hint: "Use that one, or choose another name.", Err: err}
	case violates(err, "parley_labels_colour_check"):
		return &inbox.Error{Code: inbox.Invalid, Message: "That is not a colour.", Hint: "Write it like #cc0000.", Err: err}
	case sqlState(err) == sqlStateCheck:
		return &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("A %s needs a name.", kind), Err: err}
	}
	return err
}
