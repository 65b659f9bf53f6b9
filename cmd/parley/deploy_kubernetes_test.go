package main

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The types below are as much of Kubernetes' as the manifests use. They are decoded
// strictly, so that a field that is misspelt or in the wrong place fails
// (https://kubernetes.io/docs/reference/kubernetes-api/).
type (
	k8sMeta struct {
		Name        string            `yaml:"name"`
		Labels      map[string]string `yaml:"labels"`
		Annotations map[string]string `yaml:"annotations"`
	}
	k8sSelector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	k8sSecurity struct {
		RunAsNonRoot             bool                  `yaml:"runAsNonRoot"`
		RunAsUser                int                   `yaml:"runAsUser"`
		RunAsGroup               int                   `yaml:"runAsGroup"`
		FSGroup                  int                   `yaml:"fsGroup"`
		SeccompProfile           struct{ Type string } `yaml:"seccompProfile"`
		AllowPrivilegeEscalation *bool                 `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool                  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Drop []string }
	}
	k8sProbe struct {
		HTTPGet                         struct{ Path, Port string } `yaml:"httpGet"`
		PeriodSeconds, FailureThreshold int
	}
	k8sContainer struct {
		Name, Image    string
		Args           []string
		EnvFrom        []map[string]struct{ Name string } `yaml:"envFrom"`
		Ports          []k8sPort
		StartupProbe   *k8sProbe `yaml:"startupProbe"`
		LivenessProbe  *k8sProbe `yaml:"livenessProbe"`
		ReadinessProbe *k8sProbe `yaml:"readinessProbe"`
		Resources      struct{ Requests, Limits map[string]string }
		Security       k8sSecurity `yaml:"securityContext"`
		VolumeMounts   []struct {
			Name      string `yaml:"name"`
			MountPath string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
	}
	k8sPort struct {
		Name          string `yaml:"name"`
		ContainerPort int    `yaml:"containerPort"`
	}
	k8sPod struct {
		Metadata k8sMeta
		Spec     struct {
			ServiceAccountName            string      `yaml:"serviceAccountName"`
			AutomountServiceAccountToken  *bool       `yaml:"automountServiceAccountToken"`
			TerminationGracePeriodSeconds int         `yaml:"terminationGracePeriodSeconds"`
			RestartPolicy                 string      `yaml:"restartPolicy"`
			Security                      k8sSecurity `yaml:"securityContext"`
			TopologySpreadConstraints     []struct {
				MaxSkew           int         `yaml:"maxSkew"`
				TopologyKey       string      `yaml:"topologyKey"`
				WhenUnsatisfiable string      `yaml:"whenUnsatisfiable"`
				LabelSelector     k8sSelector `yaml:"labelSelector"`
			} `yaml:"topologySpreadConstraints"`
			Containers []k8sContainer
			Volumes    []struct {
				Name     string
				EmptyDir *struct{} `yaml:"emptyDir"`
			}
		}
	}
	k8sHead struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   k8sMeta
	}
	k8sDeployment struct {
		k8sHead `yaml:",inline"`
		Spec    struct {
			Replicas int
			Strategy struct {
				Type          string
				RollingUpdate struct {
					MaxUnavailable int `yaml:"maxUnavailable"`
					MaxSurge       int `yaml:"maxSurge"`
				} `yaml:"rollingUpdate"`
			}
			Selector k8sSelector
			Template k8sPod
		}
	}
	k8sJob struct {
		k8sHead `yaml:",inline"`
		Spec    struct {
			BackoffLimit int `yaml:"backoffLimit"`
			TTL          int `yaml:"ttlSecondsAfterFinished"`
			Template     k8sPod
		}
	}
	k8sBudget struct {
		k8sHead `yaml:",inline"`
		Spec    struct {
			MaxUnavailable int `yaml:"maxUnavailable"`
			Selector       k8sSelector
		}
	}
	k8sService struct {
		k8sHead `yaml:",inline"`
		Spec    struct {
			Selector map[string]string
			Ports    []struct {
				Name       string
				Port       int
				TargetPort string `yaml:"targetPort"`
			}
		}
	}
	k8sAccount struct {
		k8sHead                      `yaml:",inline"`
		AutomountServiceAccountToken *bool `yaml:"automountServiceAccountToken"`
	}
	k8sNetwork struct {
		k8sHead `yaml:",inline"`
		Spec    struct {
			PodSelector k8sSelector `yaml:"podSelector"`
			PolicyTypes []string    `yaml:"policyTypes"`
			Ingress     []struct {
				From []struct {
					NamespaceSelector k8sSelector `yaml:"namespaceSelector"`
				}
				Ports []struct{ Protocol, Port string }
			}
		}
	}
	kustomization struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Resources  []string
		Images     []struct {
			Name    string `yaml:"name"`
			NewName string `yaml:"newName"`
			NewTag  string `yaml:"newTag"`
		}
		ConfigMapGenerator []struct {
			Name     string
			Literals []string
		} `yaml:"configMapGenerator"`
	}
)

// UnmarshalYAML takes a probe's numbers by their own names.
func (p *k8sProbe) UnmarshalYAML(n *yaml.Node) error {
	var raw struct {
		HTTPGet          struct{ Path, Port string } `yaml:"httpGet"`
		PeriodSeconds    int                         `yaml:"periodSeconds"`
		FailureThreshold int                         `yaml:"failureThreshold"`
	}
	for i := 0; i < len(n.Content); i += 2 { // the decoder's strictness ends at this method
		if name := n.Content[i].Value; !slices.Contains([]string{"httpGet", "periodSeconds", "failureThreshold"}, name) {
			return errors.New("a probe has no field " + name)
		}
	}
	if err := n.Decode(&raw); err != nil {
		return err
	}
	*p = k8sProbe(raw)
	return nil
}

func TestDeployKubernetes(t *testing.T) {
	t.Parallel()
	const base = "kubernetes/base/"
	var k kustomization
	strictly(t, "kustomization.yaml", deployFile(t, base+"kustomization.yaml"), &k)
	files, err := filepath.Glob(filepath.Join(deployDir, base, "*.yaml"))
	if err != nil || len(files) != len(k.Resources)+1 {
		t.Errorf("the folder has %d files, kustomization.yaml names %v: %v", len(files), k.Resources, err)
	}
	covered := map[string]bool{}
	served := map[string]bool{}
	var roles []string
	for _, name := range k.Resources {
		docs := yaml.NewDecoder(bytes.NewReader(deployFile(t, base+name)))
		for {
			var node yaml.Node
			if err := docs.Decode(&node); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			data, err := yaml.Marshal(&node)
			if err != nil {
				t.Fatal(err)
			}
			var head k8sHead
			if err := yaml.Unmarshal(data, &head); err != nil || head.Metadata.Name == "" {
				t.Errorf("%s: a document without a name: %v", name, err)
			}
			switch head.APIVersion + " " + head.Kind {
			case "apps/v1 Deployment":
				var d k8sDeployment
				strictly(t, name, data, &d)
				roles = append(roles, strings.TrimPrefix(head.Metadata.Name, "parley-"))
				checkDeployment(t, d, k)
			case "batch/v1 Job":
				var j k8sJob
				strictly(t, name, data, &j)
				checkPod(t, head.Metadata.Name, j.Spec.Template)
			case "policy/v1 PodDisruptionBudget":
				var b k8sBudget
				strictly(t, name, data, &b)
				covered[b.Spec.Selector.MatchLabels["app.kubernetes.io/component"]] = b.Spec.MaxUnavailable == 1
			case "v1 Service":
				var s k8sService
				strictly(t, name, data, &s)
				served[s.Spec.Selector["app.kubernetes.io/component"]+"/"+s.Spec.Ports[0].TargetPort] = true
			case "v1 ServiceAccount":
				strictly(t, name, data, new(k8sAccount))
			case "networking.k8s.io/v1 NetworkPolicy":
				var n k8sNetwork
				strictly(t, name, data, &n)
				if !slices.Equal(n.Spec.PolicyTypes, []string{"Ingress"}) || n.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"] != "parley" {
					t.Errorf("%s %s does not close Parley's pods", name, head.Metadata.Name)
				}
			default:
				t.Errorf("%s: nobody has decided about %s %s", name, head.APIVersion, head.Kind)
			}
		}
	}
	slices.Sort(roles)
	if want := slices.Sorted(slices.Values(allRoles)); !slices.Equal(roles, want) {
		t.Errorf("the deployments are of %v; the roles are %v", roles, want)
	}
	for _, role := range allRoles {
		if !covered[role] {
			t.Errorf("%s has no disruption budget", role)
		}
	}
	if !served["gateway/http"] || !served["api/api"] {
		t.Errorf("the services are %v", served)
	}
	for _, literal := range k.ConfigMapGenerator[0].Literals {
		isSetting(t, literal)
	}
}

func checkDeployment(t *testing.T, d k8sDeployment, k kustomization) {
	t.Helper()
	name := d.Metadata.Name
	role := strings.TrimPrefix(name, "parley-")
	pod := d.Spec.Template
	checkPod(t, name, pod)
	if d.Spec.Replicas < 2 || d.Spec.Strategy.RollingUpdate.MaxUnavailable != 0 {
		t.Errorf("%s is not there while it is rolled out", name)
	}
	for what, labels := range map[string]map[string]string{"selector": d.Spec.Selector.MatchLabels, "pods": pod.Metadata.Labels} {
		if labels["app.kubernetes.io/component"] != role {
			t.Errorf("%s: the %s have labels %v", name, what, labels)
		}
	}
	c := pod.Spec.Containers[0]
	if !slices.Equal(c.Args, []string{"serve", "--roles", role, "--no-migrate"}) || c.Image != k.Images[0].Name {
		t.Errorf("%s runs %s %v", name, c.Image, c.Args)
	}
	for path, p := range map[string]*k8sProbe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if p == nil || p.HTTPGet.Path != path || p.HTTPGet.Port != "http" {
			t.Errorf("%s asks %+v, not %s", name, p, path)
		}
	}
	if !slices.Contains(c.Ports, k8sPort{"http", 8080}) || !slices.Contains(c.Ports, k8sPort{"metrics", 9090}) {
		t.Errorf("%s has the ports %v", name, c.Ports)
	}
	// Its own 30 s, and the drain delay before.
	if pod.Spec.TerminationGracePeriodSeconds < 45 {
		t.Errorf("%s is killed while it stops", name)
	}
}

func checkPod(t *testing.T, name string, p k8sPod) {
	t.Helper()
	s, c := p.Spec.Security, p.Spec.Containers[0]
	isCommand(t, name, c.Args)
	cs := c.Security
	if !s.RunAsNonRoot || s.SeccompProfile.Type != "RuntimeDefault" || cs.AllowPrivilegeEscalation == nil || *cs.AllowPrivilegeEscalation ||
		!cs.ReadOnlyRootFilesystem || !slices.Equal(cs.Capabilities.Drop, []string{"ALL"}) ||
		p.Spec.AutomountServiceAccountToken == nil || *p.Spec.AutomountServiceAccountToken {
		t.Errorf("%s is not confined", name)
	}
	if c.Resources.Requests["memory"] == "" || c.Resources.Limits["memory"] == "" {
		t.Errorf("%s has no bounds", name)
	}
}
