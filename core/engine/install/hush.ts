/**
 * A second, tiny addon: `hush()` turns the process's stderr off, `speak()` on again, counted over all threads.
 * libtensorflow logs while the dynamic linker still initialises it, before it reads TF_CPP_MIN_LOG_LEVEL, and Node itself
 * cannot redirect a file descriptor. Only the load is hushed; what TensorFlow logs later obeys its variable.
 */
export const hushSource = `
#include <node_api.h>
#include <fcntl.h>
#include <unistd.h>
#include <mutex>

static std::mutex mutex;
static int depth = 0, saved = -1;

static napi_value hush(napi_env, napi_callback_info) {
  std::lock_guard<std::mutex> guard(mutex);
  if (depth++ > 0) return nullptr;
  saved = dup(2);
  int nowhere = open("/dev/null", O_WRONLY);
  if (nowhere >= 0) { dup2(nowhere, 2); close(nowhere); }
  return nullptr;
}

static napi_value speak(napi_env, napi_callback_info) {
  std::lock_guard<std::mutex> guard(mutex);
  if (depth == 0 || --depth > 0 || saved < 0) return nullptr;
  dup2(saved, 2);
  close(saved);
  return nullptr;
}

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "hush", NAPI_AUTO_LENGTH, hush, nullptr, &function);
  napi_set_named_property(env, exports, "hush", function);
  napi_create_function(env, "speak", NAPI_AUTO_LENGTH, speak, nullptr, &function);
  napi_set_named_property(env, exports, "speak", function);
  return exports;
}
`;
