package main

import (
	"bytes"
	"os"
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
	args := strings.Fields(seen["[Service]ExecStart"])
	root := newRoot()
	cmd, rest, err := root.Find(args[1:])
	if err != nil || cmd.Name() != "serve" {
		t.Fatalf("it starts %v: %v", args, err)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Error(err)
	}
}
