package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	asv1 "k8s.io/api/autoscaling/v1"
	asv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gates "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	scalefake "k8s.io/client-go/scale/fake"
	core "k8s.io/client-go/testing"
	defaults "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
	"k8s.io/kubernetes/pkg/features"
)

const (
	namespace = "space"
	name      = "hpa"
	target    = "target"
	period    = 15 * time.Second
	// an edit is processed at once: it must not meet the regular pass
	editBefore = 5 * time.Second
	// so long after its beginning a pass has ended: timers of one instant fire in any order
	look = time.Second
)

// stage is the world around the controller.
type stage struct {
	scenario scenario
	start    time.Time
	client   *fake.Clientset
	world    int
	replicas int32
	begun    []pass // passes that have asked for the scale
	refused  bool   // a write failed: the controller will ask again, in the same pass
	stop     context.CancelFunc
}

func run(t *testing.T, asked scenario) ([]pass, error) {
	spec, err := decoded(asked.Spec)
	if err != nil {
		return nil, err
	}
	object := &asv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Generation: 1}, Spec: *spec}
	if err := gates.DefaultMutableFeatureGate.SetFromMap(map[string]bool{string(features.HPAScaleToZero): asked.Controller.ScaleToZero}); err != nil {
		return nil, err
	}
	// NewClientset also keeps track of who manages which field, which nobody asks for here and takes thirty times as long
	s := &stage{scenario: asked, start: time.Now(), client: fake.NewSimpleClientset(object), replicas: asked.Replicas}
	s.stop = func() {}
	defer func() {
		s.stop()
		synctest.Wait()
	}()
	var passes []pass
	for at := range asked.Worlds {
		if at > 0 {
			time.Sleep(period - editBefore - look)
		}
		if err := s.enter(t.Context(), at); err != nil {
			return nil, err
		}
		if at == 0 {
			s.control(t.Context())
		}
		time.Sleep(look)
		if passes, err = s.seen(t.Context(), passes); err != nil {
			return nil, err
		}
		if at > 0 {
			// a controller that starts begins with a pass: it starts when the regular one is due
			time.Sleep(editBefore - look)
			if asked.Worlds[at].Restart {
				s.control(t.Context())
			}
			time.Sleep(look)
			if passes, err = s.seen(t.Context(), passes); err != nil {
				return nil, err
			}
		}
	}
	return passes, nil
}

// seen adds the pass that has just been made, if there was one.
func (s *stage) seen(ctx context.Context, passes []pass) ([]pass, error) {
	synctest.Wait()
	switch len(s.begun) - len(passes) {
	case 0:
		return passes, nil
	case 1:
	default:
		return nil, fmt.Errorf("%d passes at once: %+v", len(s.begun)-len(passes), s.begun[len(passes):])
	}
	object, err := s.client.AutoscalingV2().HorizontalPodAutoscalers(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	made := s.begun[len(s.begun)-1]
	made.Replicas = s.replicas
	made.Status = object.Status
	return append(passes, made), nil
}

// decoded reads a spec as the API server does: with its defaults, and quantities in the form in which they are stored.
func decoded(text json.RawMessage) (*asv2.HorizontalPodAutoscalerSpec, error) {
	object := &asv2.HorizontalPodAutoscaler{}
	if err := json.Unmarshal(text, &object.Spec); err != nil {
		return nil, err
	}
	defaults.SetDefaults_HorizontalPodAutoscaler(object)
	object.Spec.ScaleTargetRef = asv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: target}
	stored, err := json.Marshal(object.Spec)
	if err != nil {
		return nil, err
	}
	spec := &asv2.HorizontalPodAutoscalerSpec{}
	return spec, json.Unmarshal(stored, spec)
}

// enter makes the world of a pass.
func (s *stage) enter(ctx context.Context, at int) error {
	s.world = at
	next := s.scenario.Worlds[at]
	if next.Replicas != nil {
		s.replicas = *next.Replicas
	}
	pods := s.client.CoreV1().Pods(namespace)
	if at > 0 {
		for _, p := range s.scenario.Worlds[at-1].Pods {
			if err := pods.Delete(ctx, p.Name, metav1.DeleteOptions{}); err != nil {
				return err
			}
		}
	}
	for _, p := range next.Pods {
		object, err := p.object(s.start)
		if err != nil {
			return err
		}
		if _, err := pods.Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	synctest.Wait()
	if next.Restart {
		s.stop()
		synctest.Wait()
	}
	if next.Spec == nil {
		return nil
	}
	spec, err := decoded(next.Spec)
	if err != nil {
		return err
	}
	objects := s.client.AutoscalingV2().HorizontalPodAutoscalers(namespace)
	object, err := objects.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	object.Spec = *spec
	object.Generation++
	_, err = objects.Update(ctx, object, metav1.UpdateOptions{})
	return err
}

// control starts a controller, which makes its first pass at once.
func (s *stage) control(ctx context.Context) {
	ctx, s.stop = context.WithCancel(ctx)
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: "apps", Version: "v1"}})
	mapper.Add(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, meta.RESTScopeNamespace)
	shared := informers.NewSharedInformerFactory(s.client, 0)
	seconds := func(n int64) time.Duration { return time.Duration(n) * time.Second }
	f := s.scenario.Controller
	controller := podautoscaler.NewHorizontalController(ctx, s.client.CoreV1(), s.scales(), s.client.AutoscalingV2(), mapper, s,
		shared.Autoscaling().V2().HorizontalPodAutoscalers(), shared.Core().V1().Pods(), period, seconds(f.DownscaleStabilization),
		f.Tolerance, seconds(f.CPUInitializationPeriod), seconds(f.InitialReadinessDelay))
	shared.Start(ctx.Done())
	go controller.Run(ctx, 1)
}

// scales is the target's scale. Whoever asks for it begins a pass.
func (s *stage) scales() *scalefake.FakeScaleClient {
	client := &scalefake.FakeScaleClient{}
	client.AddReactor("get", "deployments", func(core.Action) (bool, runtime.Object, error) {
		if !s.refused {
			s.begun = append(s.begun, pass{At: int64(time.Since(s.start) / time.Second), World: s.world})
		}
		s.refused = false
		now := s.scenario.Worlds[s.world]
		if now.ScaleError != "" {
			return true, nil, errors.New(now.ScaleError)
		}
		selector := "app=target"
		if now.Selector != nil {
			selector = *now.Selector
		}
		return true, &asv1.Scale{
			ObjectMeta: metav1.ObjectMeta{Name: target, Namespace: namespace},
			Spec:       asv1.ScaleSpec{Replicas: s.replicas},
			Status:     asv1.ScaleStatus{Replicas: max(0, s.replicas+now.StatusAhead), Selector: selector},
		}, nil
	})
	client.AddReactor("update", "deployments", func(action core.Action) (bool, runtime.Object, error) {
		if refused := s.scenario.Worlds[s.world].UpdateError; refused != "" {
			s.refused = true
			return true, nil, errors.New(refused)
		}
		scale := action.(core.UpdateAction).GetObject().(*asv1.Scale)
		s.replicas = scale.Spec.Replicas
		return true, scale, nil
	})
	return client
}

func (s *stage) reading(key string) reading {
	found, ok := s.scenario.Worlds[s.world].Readings[key]
	if !ok {
		return reading{Error: "no such metric"}
	}
	return found
}

// GetResourceMetric answers for "resource:NAME", or "container:CONTAINER:NAME".
func (s *stage) GetResourceMetric(_ context.Context, resource v1.ResourceName, _ string, _ labels.Selector, container string) (metrics.PodMetricsInfo, time.Time, error) {
	key := "resource:" + string(resource)
	if container != "" {
		key = "container:" + container + ":" + string(resource)
	}
	return s.reading(key).perPod(s.start)
}

// GetRawMetric answers for "pods:NAME".
func (s *stage) GetRawMetric(metric, _ string, _, _ labels.Selector) (metrics.PodMetricsInfo, time.Time, error) {
	return s.reading("pods:" + metric).perPod(s.start)
}

// GetObjectMetric answers for "object:NAME" with the first value.
func (s *stage) GetObjectMetric(metric, _ string, _ *asv2.CrossVersionObjectReference, _ labels.Selector) (int64, time.Time, error) {
	values, at, err := s.reading("object:" + metric).values()
	if err != nil {
		return 0, at, err
	}
	if len(values) == 0 {
		return 0, at, errors.New("no value")
	}
	return values[0], at, nil
}

// GetExternalMetric answers for "external:NAME".
func (s *stage) GetExternalMetric(metric, _ string, _ labels.Selector) ([]int64, time.Time, error) {
	return s.reading("external:" + metric).values()
}
