package desk

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"parley/inbox"
	"parley/store"
)

// Resealing is how far sealing anew came.
type Resealing struct {
	// Done counts values that the ring's first key seals since.
	Done int64 `json:"done"`
	// Failed says, for each value that could not be opened, which and why.
	Failed []string `json:"failed"`
}

// Reseal seals with the ring's first key what others have sealed, so many values at a
// time, and then tells the gateways. What is done is told by each value itself: a run
// that was cut short is taken up by another one. Progress, if any, is called after
// each batch.
//
// Every process has to have the ring's first key before.
func (d *Desk) Reseal(ctx context.Context, batch int, progress func(Resealing)) (r Resealing, err error) {
	r.Failed = []string{}
	mark := d.Keyring.Mark()
	if mark == nil {
		return r, nil // there is one key only, and nothing names it
	}
	for _, kind := range store.SealedKinds() {
		if err := d.resealKind(ctx, kind, mark, batch, &r, progress); err != nil {
			return r, err
		}
	}
	return r, d.Project(ctx)
}

func (d *Desk) resealKind(ctx context.Context, kind store.SealedKind, mark []byte, batch int, r *Resealing, progress func(Resealing)) error {
	after := ""
	for {
		list, err := d.Store.SealedOtherwise(ctx, kind, mark, after, batch)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, v := range list {
			if err := d.resealOne(ctx, v, r); err != nil {
				return err
			}
		}
		after = list[len(list)-1].ID
		if progress != nil {
			progress(*r)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// maxFailed bounds what is said of values that cannot be opened.
const maxFailed = 100

func (d *Desk) resealOne(ctx context.Context, v store.SealedValue, r *Resealing) error {
	name, err := sealedName(v)
	if err != nil {
		return err
	}
	secrets, err := d.Keyring.Open(name, v.Sealed)
	if e := (*inbox.SealedError)(nil); errors.As(err, &e) {
		if len(r.Failed) < maxFailed {
			r.Failed = append(r.Failed, fmt.Sprintf("%s: %s %q (%s): %s", v.Tenant, v.Kind, v.Name, v.ID, err))
		}
		return nil
	}
	if err != nil {
		return err
	}
	sealed, err := d.Keyring.Seal(name, secrets)
	if err != nil {
		return err
	}
	// Where somebody replaced it meanwhile, it was sealed as their process does.
	done, err := d.Store.Reseal(ctx, v, sealed)
	if done {
		r.Done++
	}
	return err
}

// sealedName is what a value is sealed for.
func sealedName(v store.SealedValue) (string, error) {
	switch v.Kind {
	case store.SealedChannels, store.SealedOwnSecret:
		return v.ID, nil
	case store.SealedWebhooks:
		return inbox.SealedWebhook(v.ID), nil
	case store.SealedTOTPs:
		user, err := strconv.ParseInt(v.ID, 10, 64)
		return inbox.SealedTOTP(v.Tenant, user), err
	}
	return "", fmt.Errorf("no such kind of sealed values: %s", v.Kind)
}
