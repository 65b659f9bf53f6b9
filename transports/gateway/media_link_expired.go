package gateway

import "time"

// Expired is a link that worked once, for whoever wants to know whether requests to
// the public URL arrive: only this installation knows that it has expired (410), to
// others it is a path like any other. It is empty without a public URL.
func (l *MediaLinks) Expired() string {
	then := *l
	then.now = func() time.Time { return l.now().Add(-2 * MediaLinkTime) }
	return then.URL(LinkedFile{Key: "nothing"})
}
