package desk

import (
	"io"
	"strconv"
	"time"
)

// Sign signs as a webhook's call is signed.
func Sign(id, at, body string, secrets ...string) string {
	seconds, _ := strconv.ParseInt(at, 10, 64)
	sum, err := signWebhook(id, time.Unix(seconds, 0), body, secrets...)
	if err != nil {
		return err.Error()
	}
	return sum
}

// WebhookWaits are the waits between tries.
func WebhookWaits() []time.Duration { return webhookWaits() }

// ReadImport reads a file of clients: its lines' numbers and cells.
func ReadImport(r io.Reader) (lines []int, cells []map[string]string, err error) {
	rows, err := readImport(r)
	for _, row := range rows {
		lines, cells = append(lines, row.line), append(cells, row.cells)
	}
	return lines, cells, err
}
