package access

import "sync/atomic"

// CountChecks counts the passwords that a guard checks, by what each costs.
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
}
