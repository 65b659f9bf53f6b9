package router_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"parley/events/jetstream/natstest"
	"parley/inbox/router"
	"parley/store/storetest"
)

// A stream that is deleted under a router's eyes ends it, with the words that a
// start would have: going on would skip what the new one holds.
func TestReplacedStreamEndsTheRouter(t *testing.T) {
	t.Parallel()
	server := natstest.Serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w := &world{t: t, ctx: ctx, url: storetest.NewDatabase(t), bus: server.Embedded(t)}
	w.db = w.open()
	w.tenant, w.channel = w.business("Bakery")
	r := router.New(router.Options{Store: w.db, Bus: w.bus, Owner: uuid.NewString(), Registerer: prometheus.NewRegistry()})
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	for i := range 20 {
		w.publish(w.text(i, 1, "hello"))
	}
	w.drained()

	server.Replace(t, 0)
	err := <-done
	if err == nil || !strings.Contains(err.Error(), "Stream PARLEY_IN_00") {
		t.Errorf("the router ended with %v", err)
	}
}
