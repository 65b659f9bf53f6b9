package desk

import (
	"context"
	"errors"
	"time"

	"parley/store"
)

// answerAutomatically writes the automatic replies that are due.
func (d *Desk) answerAutomatically(ctx context.Context) error {
	hours, err := d.Store.HoursOfChannels(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for tenant, of := range hours {
		due, err := d.Store.AutoRepliesDue(ctx, tenant, store.AutoReplyRules(tenant, of, time.Now()), clerkBatch)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(due) == 0 {
			continue
		}
		user, err := d.agent(ctx, tenant, 0)
		if err != nil {
			return err
		}
		can, err := d.abilities(ctx, tenant)
		if err != nil {
			return err
		}
		for _, one := range due {
			if _, err := d.Store.AutoReply(ctx, one.Rule, one.Chat, user, can); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
