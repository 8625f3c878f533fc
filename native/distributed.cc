// Process groups (c10d): rendezvous over TCP, Gloo for host memory. A group is known by its name, as libtorch's own operators of
// the namespace _c10d_functional know it: so every collective goes through the dispatcher, and only making one is here.
#include <torch/csrc/distributed/c10d/GroupRegistry.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <unistd.h>

#include <stdexcept>

#include "engine.h"

using c10d::ProcessGroup;

static c10::intrusive_ptr<c10d::Backend> makeGloo(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                                  std::chrono::milliseconds timeout, const std::string& interface) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  bool isAddress = interface.find_first_of(".:") != std::string::npos;
  options->devices.push_back(interface.empty() ? c10d::ProcessGroupGloo::createDefaultDevice()
                             : isAddress       ? c10d::ProcessGroupGloo::createDeviceForHostname(interface)
                                               : c10d::ProcessGroupGloo::createDeviceForInterface(interface));
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
}

/// createGroup(name, { host, port, isServer, rank, size, timeoutMs, interface })
static napi_value createGroup(const Call& call) {
  std::string name = toString(call.env, call[0]);
  auto field = [&](const char* key) { return property(call.env, call[1], key); };
  int rank = static_cast<int>(toInt(call.env, field("rank"))), size = static_cast<int>(toInt(call.env, field("size")));
  std::chrono::milliseconds timeout(toInt(call.env, field("timeoutMs")));
  std::string interface = toString(call.env, field("interface"));

  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(toInt(call.env, field("port")));
  options.isServer = toBool(call.env, field("isServer"));
  options.numWorkers = size;
  options.waitWorkers = false;  // the group's own rendezvous waits
  options.timeout = timeout;
  auto tcp = c10::make_intrusive<c10d::TCPStore>(toString(call.env, field("host")), options);
  auto store = c10::make_intrusive<c10d::PrefixStore>(name, tcp);

  auto group = c10::make_intrusive<ProcessGroup>(store, rank, size);
  group->setBackend(c10::DeviceType::CPU, ProcessGroup::BackendType::GLOO, makeGloo(store, rank, size, timeout, interface));
  group->setDefaultBackend(ProcessGroup::BackendType::GLOO);
  group->setGroupName(name);
  c10d::register_process_group(name, group);
  call.engine->groups[name] = group;
  return undefined(call.env);
}

/// destroyGroup(name, isOrderly): where all leave together, NCCL takes leave of the others, who would else find it gone.
static void destroyGroup(const Call& call) {
  std::string name = toString(call.env, call[0]);
  auto found = call.engine->groups.find(name);
  if (found != call.engine->groups.end() && toBool(call.env, call[1])) c10d::resolve_process_group(name)->shutdown();
  c10d::unregister_process_group(name);
  call.engine->groups.erase(name);
}

/// Ends the process at once, from any thread: the way out where the main thread waits for a process that is gone.
static napi_value exitProcess(const Call& call) { _exit(static_cast<int>(toInt(call.env, call[0]))); }

std::vector<Export> distributedExports() {
  return {{"createGroup", guarded<createGroup>}, {"destroyGroup", guarded<destroyGroup>}, {"exitProcess", guarded<exitProcess>}};
}
