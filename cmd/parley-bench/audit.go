package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"parley/inbox/api"
)

// audit runs `parley audit --json` beside the server, again if there was no
// answer: an audit reads everything, and connections break meanwhile.
func (s *server) audit(ctx context.Context) (report api.Audit, err error) {
	err = until(ctx, time.Minute, "an audit", func() (bool, error) {
		report, err = s.auditOnce(ctx)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%v\n", err)
		}
		return err == nil, err
	})
	return report, err
}

func (s *server) auditOnce(ctx context.Context) (report api.Audit, err error) {
	cmd := exec.CommandContext(ctx, s.program, "audit", "--json", "--data-dir", s.args[2]) //nolint:gosec // our own program
	cmd.Env = append(os.Environ(), s.env...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	// A red audit is an answer, and an exit status of its own.
	if jsonErr := json.Unmarshal(out.Bytes(), &report); jsonErr != nil {
		return report, fmt.Errorf("parley audit: %w: %s", errors.Join(err, jsonErr), strings.TrimSpace(complaints.String()))
	}
	return report, nil
}

// audit writes what the audit says, and holds it to be clean.
func (r *report) audit(ctx context.Context, s *server) error {
	a, err := s.audit(ctx)
	if err != nil {
		return err
	}
	r.holds(a.Clean, "parley audit: %s", strings.Join(a.Findings, " "))
	r.say("`parley audit`: %s.", auditLine(a))
	return nil
}

// auditLine sums a report up.
func auditLine(a api.Audit) string {
	var p api.AuditPartition
	for _, x := range a.Partitions {
		p.Persisted += x.Persisted
		p.Duplicate += x.Duplicate
		p.Ignored += x.Ignored
		p.Quarantined += x.Quarantined
		p.Waiting += x.Waiting
		p.Fenced += x.Fenced
		p.Examined += x.Examined
	}
	words := "clean"
	if !a.Clean {
		words = "not clean"
	}
	return fmt.Sprintf("%s; %s persisted, %s duplicate, %s ignored, %s quarantined, %s waiting; %s fenced batches; %s stream records looked up",
		words, thousands(p.Persisted), thousands(p.Duplicate), thousands(p.Ignored), thousands(p.Quarantined),
		thousands(p.Waiting), thousands(p.Fenced), thousands(p.Examined))
}
