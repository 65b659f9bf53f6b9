package transporttest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"parley/transports"
)

// StandIn is a local stand-in for a provider, and what the provider does with
// requests that are spoiled in one field. A stand-in that takes what the provider
// refuses makes every other test of the adapter worth less.
type StandIn struct {
	// New is a stand-in to whom Harness.To can be written.
	New func(t *testing.T) http.Handler
	// Fields are the fields of all requests that the adapter sends, by their
	// names: of a form, of the top of a JSON object, "header Authorization", and
	// "path" for a secret in the URL. "photo/caption" is the caption of what
	// Capabilities call photo; without a kind, of all others.
	Fields map[string]Spoiled
	// Lacks says why the stand-in does not take a part yet, by the part's name.
	Lacks map[string]string
}

// Spoiled is what the provider answers when one field is spoiled: an HTTP
// status, zero when it takes the request all the same, or [Untried].
type Spoiled struct {
	// Dropped: the field is not there.
	Dropped int
	// Emptied: it is there, and empty.
	Emptied int
	// Nonsense: it says "nonsense".
	Nonsense int
	// Huge: it is 300,000 times the letter x.
	Huge int
	// Source is the page that says so.
	Source string
}

// Untried is a way of spoiling a field that is not tried.
const Untried = -1

// standIn spoils every field of every request that the adapter sends.
func (h Harness) standIn(t *testing.T) {
	account, _ := h.account(t, Offline)
	met := map[string]bool{}
	parts := h.parts(account.Capabilities())
	tried := 0 // fewer when go test was told to run some only
	for _, s := range parts {
		t.Run(s.name, func(t *testing.T) {
			tried++
			sent := h.recordSend(t, s)
			if sent == nil {
				return
			}
			for _, field := range sent.fields(h.Secrets) {
				rule, name, ok := h.StandIn.rule(s.name, field)
				if !ok {
					t.Errorf("StandIn.Fields does not say what the provider does with %s", field)
					continue
				}
				met[name] = true
				if !strings.HasPrefix(rule.Source, "https://") {
					t.Errorf("%s: the source of what the provider does is %q", name, rule.Source)
				}
				for _, spoil := range []struct {
					how  string
					want int
				}{{"dropped", rule.Dropped}, {"emptied", rule.Emptied}, {"nonsense", rule.Nonsense}, {"huge", rule.Huge}} {
					if spoil.want == Untried {
						continue
					}
					got := sent.spoiled(field, spoil.how, h.Secrets).answer(t, h.StandIn.New(t))
					if (spoil.want == 0 && got >= 300) || (spoil.want != 0 && got != spoil.want) {
						t.Errorf("%s %s: the stand-in answers %d, the provider %d (%s)", field, spoil.how, got, orTaken(spoil.want), rule.Source)
					}
				}
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(h.StandIn.Fields)) {
		if !met[name] && tried == len(parts) {
			t.Errorf("StandIn.Fields[%q] is in no request", name)
		}
	}
}

func orTaken(status int) int {
	if status == 0 {
		return http.StatusOK
	}
	return status
}

func (s *StandIn) rule(kind, field string) (rule Spoiled, name string, ok bool) {
	for _, name := range []string{kind + "/" + field, field} {
		if rule, ok := s.Fields[name]; ok {
			return rule, name, true
		}
	}
	return Spoiled{}, "", false
}

// recordSend is the request that the adapter makes of a part, which the stand-in
// takes.
func (h Harness) recordSend(t *testing.T, s sendable) *recorded {
	t.Helper()
	var sent *recorded
	handler := h.StandIn.New(t)
	wire := client(func(r *http.Request) (*http.Response, error) {
		one, err := record(r)
		if err != nil {
			return nil, err
		}
		sent = one
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, one.request())
		resp := w.Result()
		resp.Request = r
		return resp, nil
	})
	account := h.New(t, wire)
	_, err := account.(transports.Sender).Send(t.Context(), s.part)
	if reason, lacks := h.StandIn.Lacks[s.name]; lacks {
		if t.Logf("the stand-in does not take it: %s", reason); err == nil {
			t.Errorf("the stand-in takes a %s: take it out of StandIn.Lacks, and its fields into StandIn.Fields", s.name)
		}
		return nil
	}
	if err != nil {
		h.redacted(t, err)
		t.Errorf("the stand-in refuses what the adapter sends: %v", err)
		return nil
	}
	return sent
}
