package twilio_test

import (
	"testing"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
)

func TestOptOut(t *testing.T) {
	service := sandbox.TwilioService{Name: "Shop", Senders: []string{sandbox.DefaultTwilioNumber}}
	for _, withService := range []bool{false, true} {
		var opts sandbox.TwilioOptions
		if withService {
			opts.Services = map[string]sandbox.TwilioService{serviceSID: service}
		}
		tw, number, in := standIn(t, opts, events.SMS, func(a *transports.Account) {
			if withService {
				a.Channel.Settings["messaging_service_sid"] = serviceSID
				delete(a.Channel.Settings, "from")
			}
		})
		if err := number.Connect(t.Context(), in.url(t)); err != nil {
			t.Fatal(err)
		}
		who := tw.Person("anna")
		must(who.Say("STOP"))
		if ev := in.next(t); ev.Kind != events.Message || ev.Content.Text != "STOP" {
			t.Errorf("got %s", jsonOf(ev))
		}
		if ev := in.next(t); ev.Kind != events.Reachability || !ev.Blocked || ev.Reason == "" {
			t.Errorf("got %s", jsonOf(ev))
		}
		_, err := number.Send(t.Context(), text(who.Number(), "but", "r1"))
		if withService {
			// A messaging service says so only later.
			if err != nil {
				t.Fatal(err)
			}
			if ev := status(t, in, events.Failed); ev.Status.Code != "21610" {
				t.Errorf("got %s", jsonOf(ev))
			}
			if ev := in.next(t); ev.Kind != events.Reachability || !ev.Blocked {
				t.Errorf("got %s", jsonOf(ev))
			}
		} else if e := outcome(t, err); e.Outcome != transports.Rejected || e.Code != "21610" || !e.Unreachable {
			t.Errorf("got %+v", e)
		}
		must(who.Say("start"))
		in.next(t)
		if ev := in.next(t); ev.Kind != events.Reachability || ev.Blocked {
			t.Errorf("got %s", jsonOf(ev))
		}
		if _, err := number.Send(t.Context(), text(who.Number(), "welcome back", "r2")); err != nil {
			t.Error(err)
		}
	}
}
