package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	asv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

// scenario is one line of the input: an HPA and what it finds at each of its passes. Times are seconds since the first pass.
type scenario struct {
	Controller flags
	Spec       json.RawMessage // HorizontalPodAutoscalerSpec without scaleTargetRef
	Replicas   int32           // spec.replicas of the target at the start
	Worlds     []world         // one for each period of 15 s
}

// flags of kube-controller-manager.
type flags struct {
	Tolerance               float64
	DownscaleStabilization  int64
	CPUInitializationPeriod int64
	InitialReadinessDelay   int64
	ScaleToZero             bool // feature gate HPAScaleToZero
}

// world is what holds during one pass.
type world struct {
	Spec        json.RawMessage // the HPA is edited, 5 s before the regular pass
	Replicas    *int32          // somebody else scales
	StatusAhead int32           // status.replicas minus spec.replicas
	Selector    *string         // of the target's scale; "app=target" if absent
	ScaleError  string          // reading the scale fails
	UpdateError string          // writing the scale fails
	Restart     bool            // the controller forgets
	Pods        []pod
	Readings    map[string]reading
}

type pod struct {
	Name        string
	Phase       string
	Ready       string // True, False, Unknown; empty: no such condition
	Start       *int64
	Transition  int64
	Deleted     bool
	Containers  []container
	PodRequests map[string]string // requests of the Pod as a whole
}

type container struct {
	Name     string
	Sidecar  bool
	Requests map[string]string
}

type reading struct {
	Error  string
	Pods   map[string]sample
	Values []int64
}

type sample struct {
	Value, At, Window int64
}

// pass is one pass of the controller, as it left the HPA and its target.
type pass struct {
	At       int64 // seconds since the first pass
	World    int
	Replicas int32 // spec.replicas of the target after the pass
	Status   asv2.HorizontalPodAutoscalerStatus
}

func (p pod) object(start time.Time) (*v1.Pod, error) {
	at := func(seconds int64) metav1.Time {
		return metav1.NewTime(start.Add(time.Duration(seconds) * time.Second))
	}
	made := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: namespace, Labels: map[string]string{"app": "target"}}}
	made.Status.Phase = v1.PodPhase(p.Phase)
	if p.Start != nil {
		begun := at(*p.Start)
		made.Status.StartTime = &begun
	}
	if p.Ready != "" {
		condition := v1.PodCondition{Type: v1.PodReady, Status: v1.ConditionStatus(p.Ready), LastTransitionTime: at(p.Transition)}
		made.Status.Conditions = []v1.PodCondition{condition}
	}
	if p.Deleted {
		gone := at(0)
		made.DeletionTimestamp = &gone
		made.Finalizers = []string{"example.org/kept"}
	}
	for _, c := range p.Containers {
		asked, err := requests(c.Requests)
		if err != nil {
			return nil, err
		}
		built := v1.Container{Name: c.Name, Resources: v1.ResourceRequirements{Requests: asked}}
		if c.Sidecar {
			always := v1.ContainerRestartPolicyAlways
			built.RestartPolicy = &always
			made.Spec.InitContainers = append(made.Spec.InitContainers, built)
		} else {
			made.Spec.Containers = append(made.Spec.Containers, built)
		}
	}
	if p.PodRequests != nil {
		asked, err := requests(p.PodRequests)
		if err != nil {
			return nil, err
		}
		made.Spec.Resources = &v1.ResourceRequirements{Requests: asked}
	}
	return made, nil
}

func requests(from map[string]string) (v1.ResourceList, error) {
	list := v1.ResourceList{}
	for name, text := range from {
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			return nil, fmt.Errorf("request %s: %w", text, err)
		}
		list[v1.ResourceName(name)] = quantity
	}
	return list, nil
}

func (r reading) perPod(start time.Time) (metrics.PodMetricsInfo, time.Time, error) {
	if r.Error != "" {
		return nil, time.Time{}, errors.New(r.Error)
	}
	info := metrics.PodMetricsInfo{}
	for name, s := range r.Pods {
		taken := start.Add(time.Duration(s.At) * time.Second)
		info[name] = metrics.PodMetric{Timestamp: taken, Window: time.Duration(s.Window) * time.Second, Value: s.Value}
	}
	return info, time.Now(), nil
}

func (r reading) values() ([]int64, time.Time, error) {
	if r.Error != "" {
		return nil, time.Time{}, errors.New(r.Error)
	}
	return r.Values, time.Now(), nil
}
