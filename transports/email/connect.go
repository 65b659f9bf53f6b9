package email

import (
	"context"
	"errors"
	"strings"
	"time"

	"parley/transports"
)

// checkPause is how long a log-in counts as proof that both servers take the
// credentials: providers count log-ins, and the gateway asks every minute.
const checkPause = 15 * time.Minute

// Connect implements [transports.Connector]. A mailbox is asked for news, so
// that there is nothing to tell it; logging in shows whether that can work.
func (m *Mailbox) Connect(ctx context.Context, webhookURL string) error {
	if webhookURL != "" {
		return errors.New("email: a mailbox cannot deliver to a webhook: set the channel's mode to polling")
	}
	_, err := m.Check(ctx)
	return err
}

// Check implements [transports.Connector] by logging in to both servers, and by
// looking at the folders.
func (m *Mailbox) Check(ctx context.Context) (transports.Report, error) {
	report := transports.Report{Account: m.address}
	if last := m.loggedIn.Load(); last != 0 && time.Since(time.Unix(0, last)) < checkPause {
		return report, nil
	}
	access, err := m.login(ctx)
	if err != nil {
		return report, m.redact.Error("log in", err)
	}
	s, err := m.open(ctx)
	if err != nil {
		return report, err
	}
	defer s.close()
	folders, err := s.folders()
	if err != nil {
		return report, m.redactor(access).Error("check", err)
	}
	var missing []string
	for _, f := range folders {
		if _, err := s.examine(f.name); isNo(err) && f.name != inbox {
			missing = append(missing, f.name)
		} else if err != nil {
			return report, m.redactor(access).Error("check", err)
		}
	}
	if err := m.checkSMTP(ctx, access); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return report, m.redactor(access).Error("check", err)
	}
	if len(missing) > 0 {
		report.LastError = "the mailbox has no folder " + strings.Join(missing, ", ") + ": change the setting folders or sent"
		report.LastErrorAt = time.Now().UTC()
		return report, nil
	}
	m.loggedIn.Store(time.Now().UnixNano())
	return report, nil
}
