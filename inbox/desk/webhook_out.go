package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/google/uuid"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// NewWebhook says where to tell a tenant's facts.
type NewWebhook struct {
	URL, Description string
	// Types of facts, such as message.received; none are all.
	Types []string
	// Key makes a repeated request add one only; optional.
	Key string
}

// webhookOverlap is how long requests bear two signatures after a rotation.
const webhookOverlap = 24 * time.Hour

// factType is how a type looks.
var factType = regexp.MustCompile(`^[a-z_]{1,40}\.[a-z_]{1,40}$`)

// AddWebhook tells somebody what happens from now on. The secret, with which they
// check the signatures, is returned this once; empty when Key had added it before.
func (d *Desk) AddWebhook(ctx context.Context, tenant events.TenantID, by inbox.Actor, n NewWebhook) (w store.Webhook, secret string, err error) {
	if err := d.checkWebhook(&n.URL, &n.Types); err != nil {
		return store.Webhook{}, "", err
	}
	place, err := d.Bus.FactsEnd(ctx)
	if err != nil {
		return store.Webhook{}, "", err
	}
	id, secret := uuid.NewString(), newWebhookSecret()
	sealed, err := d.Keyring.Seal(inbox.SealedWebhook(id), map[string]string{"secret": secret})
	if err != nil {
		return store.Webhook{}, "", err
	}
	if n.Types == nil {
		n.Types = []string{}
	}
	w, made, err := d.Store.AddWebhook(ctx, tenant, by, store.Webhook{
		ID: id, URL: n.URL, Description: n.Description, Types: n.Types, Sealed: sealed, Place: place.String(),
	}, n.Key)
	if !made {
		secret = ""
	}
	return w, secret, err
}

// ChangeWebhook changes a webhook. One that is enabled again is told what happens
// from then on.
func (d *Desk) ChangeWebhook(ctx context.Context, tenant events.TenantID, by inbox.Actor, id string, c store.WebhookChange) (store.Webhook, error) {
	if err := d.checkWebhook(c.URL, c.Types); err != nil {
		return store.Webhook{}, err
	}
	place, err := d.Bus.FactsEnd(ctx)
	if err != nil {
		return store.Webhook{}, err
	}
	return d.Store.ChangeWebhook(ctx, tenant, by, id, c, place.String())
}

func (d *Desk) checkWebhook(address *string, types *[]string) error {
	if address != nil {
		u, err := url.Parse(*address)
		if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !d.PrivateWebhooks) {
			return &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("%q is no address for a webhook.", *address),
				Hint: "It looks like https://example.com/parley, without a password in it.",
			}
		}
	}
	if types == nil {
		return nil
	}
	for _, t := range *types {
		if !factType.MatchString(t) {
			return &inbox.Error{
				Code: inbox.Invalid, Message: fmt.Sprintf("%q is no type of fact.", t), Hint: "Types look like message.received; docs/asyncapi.yaml lists them.",
			}
		}
	}
	return nil
}

// RotateWebhook gives a webhook another secret and returns it. For a day requests
// bear a signature by the one before, too. The key of the last rotation, unless it
// is empty, returns what that one made: another rotation would drop the secret that
// the receiver still checks with.
func (d *Desk) RotateWebhook(ctx context.Context, tenant events.TenantID, by inbox.Actor, id, key string) (w store.Webhook, secret string, err error) {
	secret = newWebhookSecret()
	w, err = d.Store.RotateWebhook(ctx, tenant, by, id, webhookOverlap, func(sealed []byte) ([]byte, error) {
		old, err := d.Keyring.Open(inbox.SealedWebhook(id), sealed)
		if err != nil {
			return nil, err
		}
		if key != "" && old["key"] == key {
			secret = old["secret"]
			return nil, nil
		}
		return d.Keyring.Seal(inbox.SealedWebhook(id), map[string]string{"secret": secret, "previous": old["secret"], "key": key})
	})
	if err != nil {
		secret = ""
	}
	return w, secret, err
}

// TestWebhook sends the fact webhook.test, to one webhook only.
func (d *Desk) TestWebhook(ctx context.Context, tenant events.TenantID, by inbox.Actor, id string) error {
	body, err := json.Marshal(events.Fact{Tenant: tenant, Noun: "webhook", Verb: "test", Time: time.Now().UTC(), Data: json.RawMessage(`{}`)})
	if err != nil {
		return err
	}
	return d.Store.QueueWebhook(ctx, tenant, by, id, string(body), "webhook.test")
}
