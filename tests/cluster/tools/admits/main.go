// Says what the API server would say to manifests, without an API server: it is its own code that decodes them strictly, fills in
// defaults and validates what is created, and that holds pods against the restricted pod security standard.
//
// usage: admits FILE…    $RELAXED leaves out the pod security standard
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	extensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	"k8s.io/kubernetes/pkg/apis/rbac"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrole"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
	security "k8s.io/pod-security-admission/api"
	standards "k8s.io/pod-security-admission/policy"
)

// How the API server validates an object that is created.
func strategy(object runtime.Object) rest.RESTCreateStrategy {
	switch object.(type) {
	case *apps.Deployment:
		return deployment.Strategy
	case *apps.DaemonSet:
		return daemonset.Strategy
	case *core.Pod:
		return pod.Strategy
	case *core.Service:
		return service.Strategy
	case *core.ServiceAccount:
		return serviceaccount.Strategy
	case *core.ConfigMap:
		return configmap.Strategy
	case *core.Namespace:
		return namespace.Strategy
	case *networking.NetworkPolicy:
		return networkpolicy.Strategy
	case *policy.PodDisruptionBudget:
		return poddisruptionbudget.Strategy
	case *rbac.ClusterRole:
		return clusterrole.Strategy
	case *rbac.ClusterRoleBinding:
		return clusterrolebinding.Strategy
	case *rbac.Role:
		return role.Strategy
	case *rbac.RoleBinding:
		return rolebinding.Strategy
	case *apiextensions.CustomResourceDefinition:
		return customresourcedefinition.NewStrategy(legacyscheme.Scheme)
	}
	return nil
}

// What the API server gives a Service before it validates it.
func allocate(object runtime.Object) {
	it, is := object.(*core.Service)
	if is && it.Spec.Type == core.ServiceTypeLoadBalancer && it.Spec.ExternalTrafficPolicy == core.ServiceExternalTrafficPolicyLocal {
		it.Spec.HealthCheckNodePort = max(it.Spec.HealthCheckNodePort, 30000)
	}
}

// A pod, or what pods are made from.
func template(object runtime.Object) *corev1.PodTemplateSpec {
	switch it := object.(type) {
	case *appsv1.Deployment:
		return &it.Spec.Template
	case *appsv1.DaemonSet:
		return &it.Spec.Template
	case *corev1.Pod:
		return &corev1.PodTemplateSpec{ObjectMeta: it.ObjectMeta, Spec: it.Spec}
	}
	return nil
}

type judge struct {
	strict    runtime.Decoder
	defaults  runtime.Decoder
	evaluator standards.Evaluator
}

// What is wrong with a document; whether it is of a kind that is known here.
func (j judge) look(document []byte) (known bool, what string, err error) {
	outer, kind, err := j.strict.Decode(document, nil, nil)
	switch {
	case runtime.IsMissingKind(err):
		return false, "", nil
	case runtime.IsNotRegisteredError(err):
		return false, kind.Kind, nil
	case err != nil:
		return true, "document", err
	}
	object, err := meta.Accessor(outer)
	if err != nil {
		return true, kind.Kind, err
	}
	what = fmt.Sprintf("%s %s/%s", kind.Kind, object.GetNamespace(), object.GetName())
	return true, what, j.create(document, outer, kind)
}

func (j judge) create(document []byte, outer runtime.Object, kind *schema.GroupVersionKind) error {
	inner, _, err := j.defaults.Decode(document, nil, nil)
	if err != nil {
		return err
	}
	how := strategy(inner)
	if how == nil {
		return errors.New("there is no strategy for it in admits: add one")
	}
	object, err := meta.Accessor(inner)
	if err != nil {
		return err
	}
	rest.FillObjectMetaSystemFields(object)
	allocate(inner)
	ctx := request.WithNamespace(request.NewContext(), object.GetNamespace())
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{APIGroup: kind.Group, APIVersion: kind.Version})
	if err := rest.BeforeCreate(how, ctx, inner); err != nil {
		return err
	}
	pod := template(outer)
	if pod == nil || os.Getenv("RELAXED") != "" {
		return nil
	}
	restricted := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	var refused []error
	for _, it := range j.evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
		if !it.Allowed {
			refused = append(refused, fmt.Errorf("restricted: %s: %s", it.ForbiddenReason, it.ForbiddenDetail))
		}
	}
	return errors.Join(refused...)
}

func run(files []string) (faults int, err error) {
	scheme := legacyscheme.Scheme
	extensions.Install(scheme)
	evaluator, err := standards.NewEvaluator(standards.DefaultChecks(), nil)
	if err != nil {
		return 0, err
	}
	j := judge{
		strict:    json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true}),
		defaults:  serializer.NewCodecFactory(scheme).UniversalDecoder(),
		evaluator: evaluator,
	}
	admitted, foreign := 0, 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return 0, err
			}
			if len(bytes.TrimSpace(document)) == 0 {
				continue
			}
			known, what, err := j.look(document)
			switch {
			case err != nil:
				faults++
				fmt.Printf("%s: %s: %v\n", file, what, err)
			case known:
				admitted++
			case what != "":
				foreign++
			}
		}
	}
	fmt.Printf("%d admitted, %d refused, %d of kinds that are not Kubernetes' own\n", admitted, faults, foreign)
	return faults, nil
}

func main() {
	faults, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "admits:", err)
		os.Exit(2)
	}
	if faults > 0 {
		os.Exit(1)
	}
}
