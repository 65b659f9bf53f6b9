package access

import "sync/atomic"

// CountChecks counts the passwords that a guard checks or hashes, by what each costs.
func CountChecks(g *Guard, n *atomic.Int64, costs func(Cost)) {
	g.judge = func(hash, password string) (bool, error) {
		n.Add(1)
		cost, _, _, err := parseHash(hash)
		if err != nil {
			return false, err
		}
		costs(cost)
		return VerifyPassword(hash, password)
	}
	g.make = func(password string, cost Cost) string {
		n.Add(1)
		costs(cost)
		return HashPassword(password, cost)
	}
}
