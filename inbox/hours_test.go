package inbox_test

import (
	"testing"
	"time"

	"parley/inbox"
)

func TestHours(t *testing.T) {
	t.Parallel()
	h := inbox.Hours{
		TimeZone: "Europe/Berlin", Week: map[string][]string{"mon": {"09:00-12:30", "13:30-24:00"}, "tue": {"00:00-02:00"}},
		Holidays: map[string][]string{"2026-03-09": {}, "2026-03-15": {"10:00-11:00"}}, Away: "Hello {{first_name|there}}",
	}
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]bool{
		"2026-03-02T08:00:00Z": true, "2026-03-02T07:59:00Z": false, "2026-03-02T11:30:00Z": false, "2026-03-02T22:59:00Z": true,
		"2026-03-02T23:00:00Z": true, "2026-03-03T01:00:00Z": false, "2026-03-09T09:00:00Z": false, "2026-03-15T09:30:00Z": true,
		"2026-03-30T07:30:00Z": true, "2026-03-23T07:30:00Z": false, // summer time has begun between them
	} {
		moment, err := time.Parse(time.RFC3339, at)
		if open, _ := h.Open(moment); err != nil || open != want {
			t.Errorf("at %s it is open: %t, want %t, %v", at, open, want, err)
		}
	}
	if _, day := h.Open(time.Date(2026, 3, 2, 23, 30, 0, 0, time.UTC)); day != "2026-03-03" {
		t.Errorf("the day is %s", day)
	}
	for name, change := range map[string]func(*inbox.Hours){
		"zone":     func(h *inbox.Hours) { h.TimeZone = "Europe/Nowhere" },
		"no zone":  func(h *inbox.Hours) { h.TimeZone = "" },
		"day":      func(h *inbox.Hours) { h.Week = map[string][]string{"monday": nil} },
		"times":    func(h *inbox.Hours) { h.Week = map[string][]string{"mon": {"9-17"}} },
		"backward": func(h *inbox.Hours) { h.Week = map[string][]string{"mon": {"22:00-06:00"}} },
		"holiday":  func(h *inbox.Hours) { h.Holidays = map[string][]string{"25.12.": nil} },
		"asks":     func(h *inbox.Hours) { h.Away = "{{order|?}}" },
		"lacks":    func(h *inbox.Hours) { h.Greeting = "{{first_name}}" },
	} {
		bad := h
		change(&bad)
		if err := bad.Validate(); inbox.CodeOf(err) != inbox.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
