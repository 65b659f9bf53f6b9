package jetstream

import (
	"context"
	"crypto/subtle"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"parley/events"
)

// Guest is what another program may do on the embedded server: read one
// tenant's facts as they are published, and nothing else.
type Guest struct {
	Tenant events.TenantID
	// Hidden are nouns whose facts it may not see.
	Hidden []string
}

// Guests say who else may read facts on the embedded server. Its methods are
// called from several goroutines.
type Guests interface {
	// Guest finds who a password stands for; ok is false when it stands for
	// nobody, or nobody any more. An error lets nobody in and sends nobody away.
	Guest(ctx context.Context, password string) (g Guest, ok bool, err error)
	// Changed is closed once a tenant's passwords may have changed.
	Changed(events.TenantID) <-chan struct{}
}

const (
	// guestCheckTime bounds one look at a password, below the two seconds that
	// the server waits for a client to say who it is.
	guestCheckTime = time.Second
	// guestRecheck is how often a password is looked at while nothing tells of
	// changes.
	guestRecheck = time.Minute
)

// AdmitGuests lets other programs read facts from now on. Until then only
// Parley's own credentials are let in.
func (e *Embedded) AdmitGuests(g Guests) { e.door.guests.Store(&g) }

// door lets clients into the embedded server.
type door struct {
	creds  Credentials
	guests atomic.Pointer[Guests]
	server atomic.Pointer[server.Server]
	// open ends with the server.
	open context.Context //nolint:containedctx // the server calls without one
}

// Check implements [server.Authentication].
func (d *door) Check(c server.ClientAuthentication) bool {
	opts := c.GetOpts()
	if same(opts.Username, d.creds.User) && same(opts.Password, d.creds.Password) {
		return true // before anything else: Parley itself does not depend on a database
	}
	guests := d.guests.Load()
	if guests == nil {
		return false
	}
	password := opts.Password
	if password == "" {
		password = opts.Token
	}
	ctx, cancel := context.WithTimeout(d.open, guestCheckTime)
	defer cancel()
	g, ok, err := (*guests).Guest(ctx, password)
	if err != nil || !ok || !validToken(string(g.Tenant)) {
		return false
	}
	c.RegisterUser(&server.User{Username: "guest of " + string(g.Tenant), Permissions: g.permissions()})
	go d.watch(d.server.Load(), c.GetID(), password, g, *guests)
	return true
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// permissions let nothing be published: not even a request, whose answer could be
// directed onto one of Parley's own subjects.
func (g Guest) permissions() *server.Permissions {
	facts := factPrefix + string(g.Tenant) + "."
	p := &server.Permissions{
		Publish:   &server.SubjectPermission{Deny: []string{">"}},
		Subscribe: &server.SubjectPermission{Allow: []string{facts + ">"}},
	}
	for _, noun := range g.Hidden {
		p.Subscribe.Deny = append(p.Subscribe.Deny, facts+noun+".>")
	}
	return p
}

// watch ends a connection whose password no longer allows it. Who may see other
// things than before has to come anew.
func (d *door) watch(srv *server.Server, id uint64, password string, admitted Guest, guests Guests) {
	timer := time.NewTicker(guestRecheck)
	defer timer.Stop()
	for {
		changed := guests.Changed(admitted.Tenant)
		ctx, cancel := context.WithTimeout(d.open, guestRecheck)
		now, ok, err := guests.Guest(ctx, password)
		cancel()
		if d.open.Err() != nil || !connected(srv, id) {
			return
		}
		if err == nil && (!ok || !now.equal(admitted)) {
			_ = srv.DisconnectClientByID(id)
			return
		}
		select {
		case <-d.open.Done():
			return
		case <-changed:
		case <-timer.C:
		}
	}
}

func (g Guest) equal(o Guest) bool {
	return g.Tenant == o.Tenant && slices.Equal(g.Hidden, o.Hidden)
}

// connected is false of a server that was shut down, too.
func connected(srv *server.Server, id uint64) bool {
	c, err := srv.Connz(&server.ConnzOptions{CID: id})
	return err == nil && c.NumConns > 0
}
