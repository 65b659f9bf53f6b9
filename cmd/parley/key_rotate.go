package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"parley/inbox"
	"parley/inbox/desk"
)

// resealBatch is how many values are read at a time.
const resealBatch = 100

// find is a key that was given, by its ID or the beginning of one.
func (k *keyring) find(id string) (*inbox.Key, error) {
	if key := k.keys.Key(id); key != nil {
		return key, nil
	}
	return nil, &inbox.Error{Code: inbox.NotFound, Message: fmt.Sprintf("No key, or more than one, is %q.", id), Hint: "List them with: parley key list"}
}

// write puts keys into their file.
func (k *keyring) write(keys *inbox.Keyring) error {
	path, _, err := secretKeyFile(&k.cfg)
	if err != nil {
		return err
	}
	if path == "" {
		return &inbox.Error{
			Code: inbox.Conflict, Message: "The keys are given by PARLEY_SECRET_KEY, and in no file that could be changed.",
			Hint: "Change the variable of every process and restart them one after the other: docs/runbook.md, Rotating the secret key. parley key new prints a new key.",
		}
	}
	if err := replaceKeys(path, keys); err != nil {
		return err
	}
	k.keys.Replace(keys)
	return nil
}

// add puts a new key behind the others.
func (k *keyring) add() (*inbox.Key, error) {
	keys, err := k.keys.With(inbox.DatedKey(time.Now()))
	if err != nil {
		return nil, err
	}
	if err := k.write(keys); err != nil {
		return nil, err
	}
	list := keys.Keys()
	return list[len(list)-1], nil
}

// use puts a key in front.
func (k *keyring) use(ctx context.Context, key *inbox.Key) error {
	r, err := k.report(ctx)
	if err != nil {
		return err
	}
	if err := r.known(key.ID); err != nil {
		return err
	}
	return k.write(k.keys.Using(key.ID))
}

func (k *keyring) reseal(ctx context.Context) (desk.Resealing, error) {
	r, err := k.report(ctx)
	if err != nil {
		return desk.Resealing{}, err
	}
	first := k.keys.Current().ID
	if err := r.known(first); err != nil {
		return desk.Resealing{}, err
	}
	if err := r.used(first); err != nil {
		return desk.Resealing{}, err
	}
	return k.desk.Reseal(ctx, resealBatch, nil)
}

func printResealed(w io.Writer, r desk.Resealing) error {
	words := plural(r.Done, "value") + " sealed anew.\n"
	for _, f := range r.Failed {
		words += "Left as it is: " + f + "\n"
	}
	if len(r.Failed) > 0 {
		words += "Add the missing keys as further lines, then: parley key reseal\n"
	}
	_, err := io.WriteString(w, words)
	return err
}

// retire takes a key away, and says what is left to do.
func (k *keyring) retire(ctx context.Context, key *inbox.Key, links bool) (string, error) {
	if key.ID == k.keys.Current().ID {
		return "", &inbox.Error{Code: inbox.Refused, Message: "The key " + key.ID + " is the one that seals.", Hint: "Use another one first: parley key rotate"}
	}
	r, err := k.report(ctx)
	if err != nil {
		return "", err
	}
	if err := r.free(key.ID, links); err != nil {
		return "", err
	}
	const backups = " Keep it with the backups that were made before now."
	if path, _, err := secretKeyFile(&k.cfg); err == nil && path == "" {
		return "Nothing depends on the key " + key.ID + ". Take it out of PARLEY_SECRET_KEY." + backups, nil
	}
	if err := k.write(k.keys.Without(key.ID)); err != nil {
		return "", err
	}
	return "The key " + key.ID + " is retired." + backups, nil
}

// rotatePatience is how long processes may take to see a changed file.
const rotatePatience = time.Minute

// rotate takes all steps up to sealing anew, from wherever the last one stopped.
func (k *keyring) rotate(ctx context.Context, say func(string, ...any)) (desk.Resealing, error) {
	next := k.pending()
	if next == nil {
		r, err := k.report(ctx)
		if err != nil {
			return desk.Resealing{}, err
		}
		if r.Waiting > 0 {
			return desk.Resealing{}, &inbox.Error{
				Code: inbox.Conflict, Message: fmt.Sprintf("The last rotation is not over: %s to be sealed anew.", plural(r.Waiting, "value")), Hint: "Finish it first: parley key reseal",
			}
		}
		if next, err = k.add(); err != nil {
			return desk.Resealing{}, err
		}
	}
	say("The key %s is there. Waiting until every process has it…", next.ID)
	if err := k.wait(ctx, func(r *keyReport) error { return r.known(next.ID) }); err != nil {
		return desk.Resealing{}, err
	}
	if err := k.use(ctx, next); err != nil {
		return desk.Resealing{}, err
	}
	say("It is in front. Waiting until every process seals with it…")
	if err := k.wait(ctx, func(r *keyReport) error { return r.used(next.ID) }); err != nil {
		return desk.Resealing{}, err
	}
	return k.reseal(ctx)
}

// pending is a key that was made after the one that seals; nil without one.
func (k *keyring) pending() (found *inbox.Key) {
	for _, key := range k.keys.Keys() {
		if key.Made.After(k.keys.Current().Made) && (found == nil || key.Made.After(found.Made)) {
			found = key
		}
	}
	return found
}

// wait asks until check is content, and returns what it says last.
func (k *keyring) wait(ctx context.Context, check func(*keyReport) error) error {
	for until := time.Now().Add(rotatePatience); ; {
		r, err := k.report(ctx)
		if err != nil {
			return err
		}
		if err = check(&r); err == nil || time.Now().After(until) {
			return err
		}
		if !inbox.Pause(ctx, keyWatch/4) {
			return ctx.Err()
		}
	}
}
