package main

import (
	"context"
	"fmt"
	"time"

	"parley/inbox"
)

// keyWords say which key seals, how old it is, and what others there are.
func keyWords(keys *inbox.Keyring, now time.Time) string {
	current := keys.Current()
	age := "of unknown age"
	if !current.Made.IsZero() {
		age = "made " + day(current.Made)
		if days := int64(now.Sub(current.Made).Hours() / 24); days > 0 {
			age += ", " + plural(days, "day") + " ago"
		}
	}
	words := fmt.Sprintf("The key %s seals, %s.", current.ID, age)
	if more := len(keys.IDs()) - 1; more > 0 {
		words += fmt.Sprintf(" Others that open: %d.", more)
	}
	return words
}

// sealed looks for what an old key has sealed, or one that is missing.
func (d *doctor) sealed(ctx context.Context) {
	const check = "sealed secrets"
	if d.keys == nil || !d.cfg.Roles.needDatabase() {
		return
	}
	if d.server == nil && (d.cfg.DatabaseURL == "" || d.cfg.NATSURL == "") {
		d.say(check, checkSkipped, "They can be looked at while the server runs.", "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	k, err := openKeys(ctx, d.app, d.cfg)
	if err != nil {
		message, hint := plain(err)
		d.say(check, checkSkipped, message, hint)
		return
	}
	defer k.close()
	r, err := k.report(ctx)
	if err != nil {
		message, hint := plain(err)
		d.say(check, checkBroken, message, hint)
		return
	}
	before := len(d.found)
	for _, s := range r.Keys {
		if n := words(s.Sealed); !s.Given && n != "" {
			d.say(check, checkBroken, fmt.Sprintf("The secret key %s is missing, which sealed %s.", s.ID, n), "Add it as a further line of the secret keys, then: parley key reseal. Where it is lost, connect those channels again.")
		}
		if len(s.Lacking) > 0 && s.Given {
			d.say(check, checkWarning, fmt.Sprintf("Running without the key %s: %v.", s.ID, s.Lacking), "Give every process the same keys.")
		}
	}
	if r.Waiting > 0 {
		d.say(check, checkWarning, plural(r.Waiting, "value")+" still to be sealed anew with the first key.", "parley key reseal; until then the older keys are needed.")
	}
	if len(d.found) == before {
		d.ok(check, "All are sealed with the key %s.", k.keys.Current().ID)
	}
}
