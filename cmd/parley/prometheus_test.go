package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/inbox/desk"
)

const deployDir = "../../deploy"

// TestDeployAlerts holds the rules against promtool, their unit tests, and the runbook.
func TestDeployAlerts(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"}, {"check", "rules", "--lint-fatal", "alerts.yml"}, {"test", "rules", "alerts_test.yml"},
	} {
		cmd := exec.CommandContext(t.Context(), "promtool", args...)
		cmd.Dir = filepath.Join(deployDir, "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v (make prometheus installs it)\n%s", strings.Join(args, " "), err, out)
		}
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	rules, tests, runbook := read(deployDir+"/prometheus/alerts.yml"), read(deployDir+"/prometheus/alerts_test.yml"), read("../../docs/runbook.md")
	var told []string
	for _, m := range regexp.MustCompile(`(?m)^## (Parley\w+)\n- \*\*Cause\.\*\* .+\n- \*\*Check\.\*\* .+\n- \*\*Fix\.\*\* .+`).FindAllStringSubmatch(runbook, -1) {
		told = append(told, m[1])
	}
	var alerts []string
	for _, m := range regexp.MustCompile(`(?m)- alert: (\w+)$`).FindAllStringSubmatch(rules, -1) {
		alerts = append(alerts, m[1])
		if !strings.Contains(rules, "runbook_url: docs/runbook.md#"+strings.ToLower(m[1])+"\n") {
			t.Errorf("%s has no link to its section", m[1])
		}
		if !strings.Contains(tests, "- name: "+m[1]+"\n") {
			t.Errorf("%s has no unit test", m[1])
		}
	}
	if !slices.Equal(alerts, told) {
		t.Errorf("the alerts are %v; the runbook tells cause, check and fix of %v", alerts, told)
	}
}

// panel is one query of a dashboard.
type panel struct{ where, expr string }

func panels(t *testing.T) (all []panel) {
	t.Helper()
	files, err := filepath.Glob(deployDir + "/grafana/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no dashboards: ", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(data, &d); err != nil || len(d.Panels) == 0 {
			t.Fatalf("%s has %d panels: %v", file, len(d.Panels), err)
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				all = append(all, panel{filepath.Base(file) + ": " + p.Title, target.Expr})
			}
		}
	}
	return all
}

// TestDashboardsAndAlertsHaveData lets a Prometheus watch a server under traffic:
// every panel's query returns something, and every alert is evaluated.
func TestDashboardsAndAlertsHaveData(t *testing.T) {
	t.Parallel()
	p, dir, twilio := startWithTwilio(t)
	prom := startPrometheus(t, p.Listen)

	telegram, address := startTelegram(t)
	p.connect(t, address)
	tenant, err := p.Desk.Tenant(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	// A message by each network, and an answer.
	talk := func() {
		t.Helper()
		if _, err := twilio.Person("anna").Say("hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := telegram.Person("bert").Say("hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Desk.Reply(t.Context(), desk.Reply{Tenant: tenant.ID, Chat: 1, Text: "hello yourself", Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := twilio.Person("anna").Say("first"); err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), dir, fact("received", "first")); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	todo := panels(t)
	for len(todo) > 0 {
		talk() // rates need scrapes between which something happened
		todo = slices.DeleteFunc(todo, func(q panel) bool {
			return prom.values(t, strings.ReplaceAll(q.expr, "$__rate_interval", "30s")) > 0
		})
		if pause(ctx) != nil {
			for _, q := range todo {
				t.Errorf("%s has no data: %s", q.where, q.expr)
			}
			return
		}
	}
	for {
		lacking, wrong := prom.rules(t)
		if wrong != "" {
			t.Fatal("Prometheus cannot evaluate: ", wrong)
		}
		if lacking == "" {
			break
		}
		if pause(ctx) != nil {
			t.Fatal("not evaluated: ", lacking)
		}
	}
	// What an alert asks about has to exist, or it would never fire. Two count what
	// must not happen here, and exist once it does.
	rules, err := os.ReadFile(deployDir + "/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`\b(parley|process)_[a-z_]+\b`).FindAllString(string(rules), -1) {
		if name != "parley_gateway_forged_requests_total" && !strings.Contains(name, "panics") && prom.values(t, name) == 0 {
			t.Errorf("no metric is called %s", name)
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(200 * time.Millisecond):
		return nil
	}
}

// prometheusServer is a running one, its URL.
type prometheusServer string

// startPrometheus starts one that reads target every second, with our rules.
func startPrometheus(t *testing.T, target string) prometheusServer {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs(deployDir + "/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\n"+
		"scrape_configs: [{job_name: parley, static_configs: [{targets: [%q]}]}]\n", rules, target)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "prometheus", "--config.file="+file,
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal("make prometheus installs it: ", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	prom := prometheusServer("http://" + address)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(prom)+"/-/ready", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return prom
			}
		}
		if pause(ctx) != nil {
			t.Fatal("Prometheus is not ready")
		}
	}
}

// values is how many values a query has that are numbers.
func (p prometheusServer) values(t *testing.T, query string) (n int) {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	p.get(t, "/api/v1/query?"+url.Values{"query": {query}}.Encode(), &answer)
	for _, r := range answer.Data.Result {
		if v, ok := r.Value[1].(string); ok && v != "NaN" {
			n++
		}
	}
	return n
}

// rules names a rule that was not evaluated yet, and what is wrong with one that
// cannot be.
func (p prometheusServer) rules(t *testing.T) (lacking, wrong string) {
	t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	p.get(t, "/api/v1/rules", &answer)
	if len(answer.Data.Groups) == 0 {
		return "all", ""
	}
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			if r.LastError != "" {
				return "", r.Name + ": " + r.LastError
			}
			if r.Health != "ok" {
				return r.Name, ""
			}
		}
	}
	return "", ""
}

func (p prometheusServer) get(t *testing.T, path string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(get(t, string(p)+path, http.StatusOK)), into); err != nil {
		t.Fatal(err)
	}
}
