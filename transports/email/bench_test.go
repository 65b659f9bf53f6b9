package email_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/events"
)

// BenchmarkImport reads a mailbox of 10,000 mails from a real server: a text of
// 2 kB each, every tenth with an HTML part and a file of 50 kB. It reports mails
// per minute and the peak of the heap.
func BenchmarkImport(b *testing.B) {
	const mails = 10_000
	d := startDovecot(b, "")
	fill(b, d, mails)
	settings := d.settings(map[string]string{"since": "2020-01-01", "sent": "off"})
	b.ResetTimer()
	for b.Loop() {
		runtime.GC()
		var peak atomic.Uint64
		watching, stop := context.WithCancel(b.Context())
		go watchHeap(watching, &peak)
		n, began := 0, time.Now()
		ctx, done := context.WithCancel(b.Context())
		err := newMailbox(b, settings, direct).Poll(ctx, "", func(_ context.Context, evs []events.Inbound, _ string) error {
			if n += len(evs); n >= mails {
				done()
			}
			return nil
		})
		took := time.Since(began)
		done()
		stop()
		if n != mails {
			b.Fatalf("%d of %d mails: %v", n, mails, err)
		}
		b.ReportMetric(float64(n)/took.Minutes(), "mails/min")
		b.ReportMetric(float64(peak.Load())/(1<<20), "peak-MB")
	}
}

func watchHeap(ctx context.Context, peak *atomic.Uint64) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak.Store(max(peak.Load(), m.HeapInuse))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// fill writes mails into the folder that the server reads (Maildir), which it
// looks through when the folder is opened.
func fill(b *testing.B, d *dovecot, mails int) {
	b.Helper()
	d.deliver(b, letter(0, "makes the folders"))
	dir := d.dir + "/mail/" + ownAddress + "/new"
	text := strings.Repeat("A line of text as people write them, more or less.\r\n", 40)
	file := strings.Repeat(strings.Repeat("A", 76)+"\r\n", 50_000/57)
	for n := 1; n < mails; n++ {
		mail := letter(n, text)
		if n%10 == 0 {
			mail = fmt.Sprintf("From: Anna <anna@example.org>\r\nTo: office@example.com\r\nMessage-ID: <mail-%d@example.org>\r\nSubject: Mail %d\r\n"+
				"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain\r\n\r\n%s\r\n"+
				"--a\r\nContent-Type: text/html\r\n\r\n<p>%s</p>\r\n--a--\r\n--m\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--m--\r\n",
				n, n, text, text, file)
		}
		path := fmt.Sprintf("%s/%d.M%dP1.bench", dir, 1_780_000_000+n, n)
		if err := os.WriteFile(path, []byte(mail), 0o600); err != nil {
			b.Fatal(err)
		}
		own(b, path)
	}
}

// BenchmarkDelivery measures from the moment that a server took a mail (LMTP) to
// its event, through IDLE, one mail at a time.
func BenchmarkDelivery(b *testing.B) {
	d := startDovecot(b, "")
	p := startPolling(b, newMailbox(b, d.settings(map[string]string{"sent": "off"}), direct), "")
	p.begun()
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		mail := letter(n, "hello")
		began := time.Now()
		d.deliver(b, mail)
		p.next(1)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkRead is reading one mail without any server.
func BenchmarkRead(b *testing.B) {
	mail, err := os.ReadFile("testdata/mails/alternative-related.eml")
	if err != nil {
		b.Fatal(err)
	}
	m := newMailbox(b, nil, direct)
	raw := stored(b, inInbox, mail)
	b.SetBytes(int64(len(mail)))
	for b.Loop() {
		if evs, err := m.Reparse(raw); err != nil || len(evs) != 1 {
			b.Fatal(err)
		}
	}
}
