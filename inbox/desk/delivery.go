package desk

import (
	"context"

	"parley/events"
	"parley/inbox"
	"parley/store"
)

// Deliveries lists what failed, is uncertain, or waits; see
// [store.DB.Deliveries].
func (d *Desk) Deliveries(ctx context.Context, tenant events.TenantID, page store.DeliveryPage) ([]inbox.DeliveryItem, error) {
	return d.Store.Deliveries(ctx, tenant, page)
}

// DeliveryCancel takes back what was not sent yet; see [store.DB.CancelDelivery].
func (d *Desk) DeliveryCancel(ctx context.Context, tenant events.TenantID, id int64) (inbox.Message, error) {
	if err := d.Store.CancelDelivery(ctx, tenant, id); err != nil {
		return inbox.Message{}, err
	}
	return d.Store.Delivery(ctx, tenant, id)
}

// DeliveryRetry sends an uncertain message again, which may double it; see
// [store.DB.ResendUncertain].
func (d *Desk) DeliveryRetry(ctx context.Context, tenant events.TenantID, id int64) (inbox.Message, error) {
	if err := d.Store.ResendUncertain(ctx, tenant, id); err != nil {
		return inbox.Message{}, err
	}
	return d.Store.Delivery(ctx, tenant, id)
}

// DeliverySettle records what a person found out about an uncertain message; see
// [store.DB.SettleUncertain].
func (d *Desk) DeliverySettle(ctx context.Context, tenant events.TenantID, id int64, to inbox.DeliveryState) (inbox.Message, error) {
	if err := d.Store.SettleUncertain(ctx, tenant, id, to); err != nil {
		return inbox.Message{}, err
	}
	return d.Store.Delivery(ctx, tenant, id)
}
