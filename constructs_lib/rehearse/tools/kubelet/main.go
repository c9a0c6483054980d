// Serves a kubelet's metrics of containers and volumes, for simulated nodes.
//
// The server is the kubelet's own, with cAdvisor's collector: names and labels are those of a real node. The numbers are
// made up, for no container runs: each pod that runs takes the share of its limits and volumes that its annotation says,
// by default half, and a CPU for as much of the time.
//
// Options: --kubeconfig FILE, --port NUMBER, and --version.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	cadvisor "github.com/google/cadvisor/info/v1"
	cadvisorv2 "github.com/google/cadvisor/info/v2"
	"go.opentelemetry.io/otel/trace/noop"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/metrics/legacyregistry"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	kubelettypes "k8s.io/kubelet/pkg/types"
	"k8s.io/kubernetes/pkg/kubelet/metrics/collectors"
	"k8s.io/kubernetes/pkg/kubelet/server"
)

const (
	annotation = "rehearsal/usage"
	// What a container without a limit takes for one.
	noLimit = 256 << 20
)

// version is set when it is built.
var version = "unknown"

// node is what the server asks: of all that a kubelet does, what metrics of containers and volumes are made from.
type node struct {
	server.HostInterface
	client  *kubernetes.Clientset
	started time.Time
}

// pods returns the pods that run.
func (n node) pods() []v1.Pod {
	found, err := n.client.CoreV1().Pods("").List(context.Background(), metav1.ListOptions{FieldSelector: "status.phase=Running"})
	if err != nil {
		log.Print(err)
		return nil
	}
	return found.Items
}

// usage returns the share of what it may have that a pod takes.
func usage(pod *v1.Pod) float64 {
	if share, err := strconv.ParseFloat(pod.Annotations[annotation], 64); err == nil {
		return share
	}
	return 0.5
}

func (n node) GetRequestedContainersInfo(string, cadvisorv2.RequestOptions) (map[string]*cadvisor.ContainerInfo, error) {
	found := map[string]*cadvisor.ContainerInfo{}
	seconds := time.Since(n.started)
	for _, pod := range n.pods() {
		group := "/kubepods/pod" + string(pod.UID)
		labels := map[string]string{
			kubelettypes.KubernetesPodNameLabel:      pod.Name,
			kubelettypes.KubernetesPodNamespaceLabel: pod.Namespace,
		}
		share := usage(&pod)
		// The network is that of the sandbox, which is no container of the pod's.
		sandbox := info(group+"/sandbox", "registry.k8s.io/pause:3.10.1", labels, &cadvisor.ContainerStats{Timestamp: time.Now()})
		bytes := uint64(seconds.Seconds() * share * 1000)
		sandbox.Spec.HasNetwork = true
		sandbox.Stats[0].Network.Interfaces = []cadvisor.InterfaceStats{{Name: "eth0", RxBytes: bytes, TxBytes: bytes}}
		found[sandbox.Name] = sandbox
		for _, container := range pod.Spec.Containers {
			limit := int64(noLimit)
			if given, ok := container.Resources.Limits[v1.ResourceMemory]; ok {
				limit = given.Value()
			}
			taken := &cadvisor.ContainerStats{Timestamp: time.Now()}
			taken.Cpu.Usage.Total = uint64(float64(seconds.Nanoseconds()) * share)
			taken.Memory.Usage = uint64(float64(limit) * share)
			taken.Memory.WorkingSet = taken.Memory.Usage
			own := map[string]string{kubelettypes.KubernetesContainerNameLabel: container.Name}
			for name, value := range labels {
				own[name] = value
			}
			each := info(group+"/"+container.Name, container.Image, own, taken)
			each.Spec.HasCpu, each.Spec.HasMemory, each.Spec.Memory.Limit = true, true, uint64(limit)
			found[each.Name] = each
		}
	}
	return found, nil
}

func info(name, image string, labels map[string]string, taken *cadvisor.ContainerStats) *cadvisor.ContainerInfo {
	return &cadvisor.ContainerInfo{
		ContainerReference: cadvisor.ContainerReference{Name: name, Aliases: []string{name}},
		Spec:               cadvisor.ContainerSpec{Labels: labels, Image: image},
		Stats:              []*cadvisor.ContainerStats{taken},
	}
}

func (n node) ListPodStats(ctx context.Context) ([]stats.PodStats, error) {
	var found []stats.PodStats
	for _, pod := range n.pods() {
		var volumes []stats.VolumeStats
		for _, volume := range pod.Spec.Volumes {
			if volume.PersistentVolumeClaim == nil {
				continue
			}
			name := volume.PersistentVolumeClaim.ClaimName
			claim, err := n.client.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return nil, err
			}
			requested := claim.Spec.Resources.Requests[v1.ResourceStorage]
			capacity := uint64(requested.Value())
			used := uint64(float64(capacity) * usage(&pod))
			available, inodes, inodesUsed, inodesFree := capacity-used, uint64(1000), uint64(10), uint64(990)
			volumes = append(volumes, stats.VolumeStats{
				Name:   volume.Name,
				PVCRef: &stats.PVCReference{Name: name, Namespace: pod.Namespace},
				FsStats: stats.FsStats{
					CapacityBytes: &capacity, AvailableBytes: &available, UsedBytes: &used,
					Inodes: &inodes, InodesFree: &inodesFree, InodesUsed: &inodesUsed,
				},
			})
		}
		reference := stats.PodReference{Name: pod.Name, Namespace: pod.Namespace, UID: string(pod.UID)}
		found = append(found, stats.PodStats{PodRef: reference, VolumeStats: volumes})
	}
	return found, nil
}

func (n node) GetPodByCgroupfs(string) (*v1.Pod, bool) { return nil, false }

func (n node) GetVersionInfo() (*cadvisor.VersionInfo, error) { return &cadvisor.VersionInfo{}, nil }

func (n node) GetCachedMachineInfo() (*cadvisor.MachineInfo, error) {
	return &cadvisor.MachineInfo{NumCores: 4, MemoryCapacity: 8 << 30}, nil
}

func (n node) SyncLoopHealthCheck(*http.Request) error { return nil }

func main() {
	kubeconfig := flag.String("kubeconfig", "", "")
	port := flag.Uint("port", 10255, "")
	told := flag.Bool("version", false, "")
	flag.Parse()
	if *told {
		fmt.Println("kubelet v" + version)
		os.Exit(0)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	host := node{client: client, started: time.Now()}
	legacyregistry.CustomMustRegister(collectors.NewVolumeStatsCollector(host))
	server.ListenAndServeKubeletReadOnlyServer(
		context.Background(), host, nil, nil, nil, net.ParseIP("127.0.0.1"), *port, noop.NewTracerProvider())
}
