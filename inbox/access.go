package inbox

import "slices"

// Role is what a user may do in their tenant. Each may do all that the next may.
type Role string

// The roles, the strongest first.
const (
	Owner    Role = "owner"     // everything, other owners included
	Admin    Role = "admin"     // channels, users and tokens
	Agent    Role = "agent"     // chats
	ReadOnly Role = "read_only" // looks on
)

// roles is their order.
var roles = []Role{Owner, Admin, Agent, ReadOnly}

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return slices.Contains(roles, r) }

// AtLeast reports whether r may do all that other may. What is no role may
// nothing.
func (r Role) AtLeast(other Role) bool {
	i, j := slices.Index(roles, r), slices.Index(roles, other)
	return i >= 0 && j >= 0 && i <= j
}

// ActorKind classes who did something.
type ActorKind string

// The kinds of actors.
const (
	Operator  ActorKind = "operator"  // the command line on the server's machine
	UserActor ActorKind = "user"      // somebody who logged in
	TokenUser ActorKind = "token"     // a program
	Anonymous ActorKind = "anonymous" // nobody known, such as who accepts an invitation
)

// Actor is who does something, and from where, for the audit log.
type Actor struct {
	Kind ActorKind
	// ID is the user's or token's; an operator's is the number of their account
	// on the server's machine. Name is for people.
	ID, Name string
	// Address is the IP address that the request came from, empty on the socket;
	// UserAgent the program that it says it is.
	Address, UserAgent string
	RequestID          string
}
