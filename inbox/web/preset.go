package web

import (
	"net/http"
	"time"

	"parley/inbox"
)

// preset is a time that people often mean.
type preset struct {
	Text string // of the catalog
	At   time.Time
	// Shown is the time in the reader's zone.
	Shown string
}

// Hours of a working day's presets, in the reader's zone.
const (
	morning = 9
	evening = 18
)

// presets are times to come, the soonest first.
func presets(now time.Time, loc *time.Location) []preset {
	now = now.In(loc)
	day := func(days, hour int) time.Time {
		return time.Date(now.Year(), now.Month(), now.Day()+days, hour, 0, 0, 0, loc)
	}
	monday := (int(time.Monday)-int(now.Weekday())+7)%7 + 7
	if now.Weekday() != time.Monday {
		monday -= 7
	}
	list := []preset{{Text: "time.hour", At: now.Add(time.Hour).Truncate(time.Minute)}}
	if now.Hour() < evening-1 {
		list = append(list, preset{Text: "time.evening", At: day(0, evening)})
	}
	list = append(list, preset{Text: "time.tomorrow", At: day(1, morning)}, preset{Text: "time.monday", At: day(monday, morning)})
	for i := range list {
		list[i].Shown = list[i].At.Format("2 Jan 15:04")
	}
	return list
}

// localTime is what a field for date and time says (datetime-local of HTML).
const localTime = "2006-01-02T15:04"

// readTime reads the time that a form's button says, or where that says "other"
// the field beside it, in the reader's zone.
func readTime(r *http.Request, name string) (time.Time, error) {
	return parseTime(r.PostFormValue(name), r.PostFormValue(name+"_other"), zone(r))
}

func parseTime(button, field string, loc *time.Location) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, button)
	if button == "other" {
		at, err = time.ParseInLocation(localTime, field, loc)
	}
	if err != nil {
		return at, &inbox.Error{Code: inbox.Invalid, Message: "time.missing", Err: err}
	}
	return at, nil
}
