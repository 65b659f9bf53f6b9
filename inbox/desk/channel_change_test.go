package desk_test

import (
	"testing"

	"parley/inbox"
	"parley/inbox/desk"
	"parley/store"
)

// A limit on new clients that is no number is refused, and does not count as none.
func TestChannelLimitOfNewClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("Support")
	limit := func(value string) error {
		_, err := w.desk.ChannelChange(t.Context(), w.tenant, "Support", desk.ChannelChange{
			Settings: map[string]string{store.SettingNewClients: value},
		})
		return err
	}
	for _, wrong := range []string{"", "many", "-1", "1.5", "99999999999"} {
		wantCode(t, limit(wrong), inbox.Invalid)
	}
	for _, right := range []string{"0", "60"} {
		if err := limit(right); err != nil {
			t.Error(err)
		}
		ch, err := w.desk.Channel(t.Context(), w.tenant, "Support")
		if err != nil || ch.Settings[store.SettingNewClients] != right {
			t.Errorf("the channel has %v, %v", ch.Settings, err)
		}
	}
}
