package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// strictly decodes one document.
func strictly(t *testing.T, file string, data []byte, into any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Errorf("%s: %v", file, err)
	}
}

func deployFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deployDir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// isSetting wants NAME=VALUE to be a variable that the program reads.
func isSetting(t *testing.T, literal string) {
	t.Helper()
	name, _, _ := strings.Cut(literal, "=")
	for _, file := range []string{"serve.go", "main.go"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(`"`+name+`"`)) {
			return
		}
	}
	t.Errorf("nothing reads %s", name)
}

// isCommand wants the program to understand what it is started with.
func isCommand(t *testing.T, where string, args []string) {
	t.Helper()
	cmd, rest, err := newRoot().Find(args)
	if err != nil || !cmd.Runnable() {
		t.Errorf("%s starts %v: %v", where, args, err)
		return
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%s starts %v: %v", where, args, err)
	}
}

func TestDeployCompose(t *testing.T) {
	t.Parallel()
	var c struct {
		Name     string
		Services map[string]struct {
			Image       string
			Build       struct{ Context, Dockerfile string }
			Command     []string
			Environment map[string]string
			Secrets     []string
			Volumes     []string
			Ports       []string
			DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
			Restart     string
			Grace       string `yaml:"stop_grace_period"`
			ReadOnly    bool   `yaml:"read_only"`
			Tmpfs       []string
			CapDrop     []string `yaml:"cap_drop"`
			SecurityOpt []string `yaml:"security_opt"`
			ShmSize     string   `yaml:"shm_size"`
			Healthcheck struct {
				Test              []string
				Interval, Timeout string
				Retries           int
			}
		}
		Secrets map[string]struct{ File string }
		Volumes map[string]any
	}
	strictly(t, "compose.yaml", deployFile(t, "compose/compose.yaml"), &c)
	p := c.Services["parley"]
	isCommand(t, "compose.yaml", p.Command)
	for name := range p.Environment {
		isSetting(t, name+"=")
	}
	if !p.ReadOnly || !slices.Equal(p.CapDrop, []string{"ALL"}) {
		t.Error("parley is not confined")
	}
	for _, port := range p.Ports {
		if !strings.HasPrefix(port, "127.0.0.1:") {
			t.Errorf("%s is open to everybody", port)
		}
	}
	if _, err := os.Stat(filepath.Join(deployDir, "compose", p.Build.Context, p.Build.Dockerfile)); err != nil {
		t.Error(err)
	}
	for name, s := range c.Services {
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, volume := c.Volumes[from]; volume {
				continue
			}
			if _, err := os.Stat(filepath.Join(deployDir, "compose", from)); err != nil {
				t.Errorf("%s mounts %v", name, err)
			}
		}
	}
	// Each variable is in the example.
	example := string(deployFile(t, "compose/env.example"))
	for _, m := range regexp.MustCompile(`\$\{(\w+)`).FindAllStringSubmatch(string(deployFile(t, "compose/compose.yaml")), -1) {
		if !strings.Contains(example, "\n"+m[1]+"=") {
			t.Errorf("env.example lacks %s", m[1])
		}
	}
	if !strings.Contains(string(deployFile(t, "compose/nats.conf")), "sync_interval: always") {
		t.Error("NATS would lose what it acknowledged")
	}
}

func TestDeployContainer(t *testing.T) {
	t.Parallel()
	file := string(deployFile(t, "container/Containerfile"))
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	needs := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if !strings.Contains(file, "golang:"+string(needs[1])+" ") {
		t.Errorf("go.mod needs Go %s, the build has another", needs[1])
	}
	stages := strings.Split(file, "\nFROM ")
	last := stages[len(stages)-1]
	for _, want := range []string{"distroless/static", "USER 65532:65532", `ENTRYPOINT ["/parley"]`} {
		if !strings.Contains(last, want) {
			t.Errorf("the last stage lacks %s", want)
		}
	}
	if cmd := regexp.MustCompile(`(?m)^CMD (\[.*\])$`).FindStringSubmatch(last); cmd == nil {
		t.Error("it says not what it starts")
	} else {
		var args []string
		if err := yaml.Unmarshal([]byte(cmd[1]), &args); err != nil {
			t.Error(err)
		}
		isCommand(t, "Containerfile", args)
	}
	// What hadolint would say (https://github.com/hadolint/hadolint#rules): images have a
	// tag that is not latest, folders are absolute, nothing is fetched by ADD or by sudo.
	for _, m := range regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(file, -1) {
		if _, tag, ok := strings.Cut(m[1][strings.LastIndexByte(m[1], '/')+1:], ":"); !ok || tag == "latest" {
			t.Errorf("%s is another image tomorrow", m[1])
		}
	}
	for _, bad := range []string{`(?m)^ADD `, `(?m)^WORKDIR [^/]`, `\bsudo\b`, `(?m)^MAINTAINER`, `(?m)^(ENTRYPOINT|CMD) [^[]`, `(?m)^RUN .*\bcd `} {
		if m := regexp.MustCompile(bad).FindString(file); m != "" {
			t.Errorf("it has %q", m)
		}
	}
	if strings.Contains(last, "\nRUN ") || !strings.Contains(file, "CGO_ENABLED=0") || !strings.Contains(file, "-X main.version=") {
		t.Error("the last stage needs a shell, or the program is not static or has no version")
	}
	for _, m := range regexp.MustCompile(`PARLEY_\w+=`).FindAllString(last, -1) {
		isSetting(t, m)
	}
}

func TestDeploySystemd(t *testing.T) {
	t.Parallel()
	section, seen := "", map[string]string{}
	for line := range strings.Lines(string(deployFile(t, "systemd/parley.service"))) {
		line = strings.TrimSpace(line)
		switch name, value, ok := strings.Cut(line, "="); {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = line
		case !ok || section == "":
			t.Errorf("not a setting: %s", line)
		default:
			seen[section+name] = value
		}
	}
	for name, want := range map[string]string{
		"[Service]User": "parley", "[Service]NoNewPrivileges": "yes", "[Service]ProtectSystem": "strict", "[Service]CapabilityBoundingSet": "",
		"[Service]ProtectHome": "yes", "[Service]PrivateTmp": "yes", "[Service]SystemCallFilter": "@system-service", "[Service]Restart": "always",
		"[Service]StateDirectory": "parley", "[Install]WantedBy": "multi-user.target",
	} {
		if got, ok := seen[name]; !ok || got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	isCommand(t, "parley.service", strings.Fields(seen["[Service]ExecStart"])[1:])
	verifyUnit(t)
}

// verifyUnit lets systemd itself read the unit, where it is installed.
func verifyUnit(t *testing.T) {
	t.Helper()
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd is not installed; the unit was only read by us")
		return
	}
	me, err := os.Executable() // it has to be a program that is there
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.Replace(string(deployFile(t, "systemd/parley.service")), "/usr/local/bin/parley", me, 1)
	file := filepath.Join(t.TempDir(), "parley.service")
	if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "verify", "--man=no", file).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "parley") { // of other units of this machine it complains, too
			t.Errorf("systemd: %s", line)
		}
	}
	if err != nil && len(out) == 0 {
		t.Error(err)
	}
}
