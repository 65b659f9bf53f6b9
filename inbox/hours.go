package inbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"parley/events"
)

// Hours say when somebody is there, and what clients are told when nobody is.
type Hours struct {
	// Channel they are of; empty for all channels that have none of their own.
	Channel  events.ChannelID `json:"channel,omitempty" doc:"Id of the channel they are of; absent for all that have none of their own."`
	Enabled  bool             `json:"enabled" doc:"Whether anything is answered automatically."`
	TimeZone string           `json:"time_zone" maxLength:"64" doc:"IANA name of the time zone." example:"Europe/Berlin"`
	// Week are the times of opening by mon, tue, wed, thu, fri, sat, sun.
	Week map[string][]string `json:"week" nullable:"false" doc:"Times like 09:00-12:30 by mon, tue, wed, thu, fri, sat and sun; a day that is missing is closed."`
	// Holidays are days like 2026-12-25 with the times of opening on them.
	Holidays map[string][]string `json:"holidays" nullable:"false" doc:"Days like 2026-12-25 with their times; no times is closed."`
	Away     string              `json:"away" maxLength:"4096" doc:"What is answered outside the hours; empty for nothing. {{first_name|there}} is filled in."`
	Greeting string              `json:"greeting" maxLength:"4096" doc:"What is answered to somebody's first message within the hours; empty for nothing."`
	Version  int64               `json:"version" readOnly:"true"`
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts

const (
	dayFormat = "2006-01-02"
	// maxHolidays bounds what is kept, amply for years.
	maxHolidays = 200
)

// Validate says what is wrong with the hours.
func (h Hours) Validate() error {
	bad := func(message, hint string) error { return &Error{Code: Invalid, Message: message, Hint: hint} }
	if _, err := time.LoadLocation(h.TimeZone); err != nil || h.TimeZone == "" || h.TimeZone == "Local" {
		return bad(fmt.Sprintf("There is no time zone %q.", h.TimeZone), "Name one like Europe/Berlin, or UTC.")
	}
	for day := range h.Week {
		if !slices.Contains(weekdays, day) {
			return bad(fmt.Sprintf("There is no day of the week %q.", day), "Use mon, tue, wed, thu, fri, sat and sun.")
		}
	}
	if len(h.Holidays) > maxHolidays {
		return bad(fmt.Sprintf("There are %d holidays; %d is the most.", len(h.Holidays), maxHolidays), "Leave out those that have passed.")
	}
	for day := range h.Holidays {
		if _, err := time.Parse(dayFormat, day); err != nil {
			return bad(fmt.Sprintf("%q is no day.", day), "Write 2026-12-25.")
		}
	}
	for _, spans := range slices.Concat(slices.Collect(maps.Values(h.Week)), slices.Collect(maps.Values(h.Holidays))) {
		for _, span := range spans {
			if _, _, ok := parseSpan(span); !ok {
				return bad(fmt.Sprintf("%q are no times.", span), "Write 09:00-17:00, until 24:00 at most; two for what goes past midnight.")
			}
		}
	}
	for _, text := range []string{h.Away, h.Greeting} {
		parsed, err := ParseTemplate(text)
		if err != nil {
			return err
		}
		for _, v := range parsed.Variables() {
			if !v.Optional || v.From != "client" && v.From != "business" {
				return bad(fmt.Sprintf("An automatic answer cannot be sure of {{%s}}.", v.Name), "Use variables of the client with a fallback, like {{first_name|there}}.")
			}
		}
	}
	return nil
}

// parseSpan reads times of a day as minutes since its midnight, the end not
// included.
func parseSpan(text string) (from, to int, ok bool) {
	a, b, found := strings.Cut(text, "-")
	from, okFrom := parseClock(a)
	to, okTo := parseClock(b)
	return from, to, found && okFrom && okTo && from < to
}

func parseClock(text string) (int, bool) {
	if text == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err == nil && len(text) == len("15:04")
}

// Open reports whether somebody is there, and which day it is there.
func (h Hours) Open(at time.Time) (open bool, day string) {
	zone, err := time.LoadLocation(h.TimeZone)
	if err != nil {
		zone = time.UTC // it was valid once
	}
	at = at.In(zone)
	day = at.Format(dayFormat)
	spans, special := h.Holidays[day]
	if !special {
		spans = h.Week[weekdays[at.Weekday()]]
	}
	now := at.Hour()*60 + at.Minute()
	for _, span := range spans {
		if from, to, ok := parseSpan(span); ok && now >= from && now < to {
			return true, day
		}
	}
	return false, day
}
