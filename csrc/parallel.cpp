// A pool of threads that watch for a while after a call and then sleep. With OpenMP the caller
// waits for every thread at the end of a region, begun or not, which costs milliseconds a call as
// soon as other programs want the same processors.
#include "parallel.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace mpctensor {
namespace {

struct Job {
  std::int64_t pieces;
  PieceFunction work;
  const void* context;
  std::atomic<std::int64_t> next{0};

  void take_all() {
    for (std::int64_t i = next++; i < pieces; i = next++) work(context, i);
  }
};

// Puts each helper on a processor of its own, away from the caller's. A woken thread otherwise
// tends to queue up behind the thread that woke it, and some machines take long to move it.
void place(const std::vector<std::thread::native_handle_type>& helpers, int caller) {
#ifdef __linux__
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  std::vector<int> others;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (cpu != caller && CPU_ISSET(cpu, &allowed)) others.push_back(cpu);
  }
  for (std::size_t i = 0; i < helpers.size() && !others.empty(); ++i) {
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(others[i % others.size()], &own);
    pthread_setaffinity_np(helpers[i], sizeof own, &own);
  }
#endif
}

int current_processor() {
#ifdef __linux__
  return sched_getcpu();
#else
  return 0;
#endif
}

thread_local bool inside = false;  // a parallel region is not split again

class Pool {
 public:
  // False where another thread's call holds the pool: that call goes on alone then.
  bool run(Job& job, int helpers) {
    std::unique_lock<std::mutex> busy(busy_, std::try_to_lock);
    if (!busy.owns_lock()) return false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      prepare(helpers);
      job_ = &job;
      places_ = helpers;
      ++calls_;
    }
    wake_.notify_all();
    inside = true;
    job.take_all();
    inside = false;
    std::unique_lock<std::mutex> lock(mutex_);
    job_ = nullptr;
    while (active_ > 0) {  // they are at their last piece
      lock.unlock();
      sched_yield();
      lock.lock();
    }
    return true;
  }

 private:
  void prepare(int helpers) {
    const bool grown = static_cast<int>(helpers_.size()) < helpers;
    while (static_cast<int>(helpers_.size()) < helpers) {
      std::thread helper(&Pool::serve, this);
      helpers_.push_back(helper.native_handle());
      helper.detach();
    }
    const int caller = current_processor();
    if (grown || caller != placed_around_) place(helpers_, caller);
    placed_around_ = caller;
  }

  void serve() {
    inside = true;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      if (job_ == nullptr || places_ == 0) {
        const std::uint64_t seen = calls_;
        lock.unlock();
        watch(seen);
        lock.lock();
        wake_.wait(lock, [&] { return job_ != nullptr && places_ > 0; });
      }
      Job& job = *job_;
      --places_;
      ++active_;
      lock.unlock();
      job.take_all();
      lock.lock();
      --active_;
    }
  }

  // The next call often follows at once; a sleeping thread would come too late for it.
  void watch(std::uint64_t seen) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(500);
    while (calls_ == seen && std::chrono::steady_clock::now() < end) sched_yield();
  }

  std::mutex busy_;
  std::mutex mutex_;
  std::condition_variable wake_;
  Job* job_ = nullptr;
  std::vector<std::thread::native_handle_type> helpers_;
  int placed_around_ = -1;
  std::atomic<std::uint64_t> calls_{0};
  int places_ = 0;
  int active_ = 0;
};

std::atomic<bool> forked{false};  // a child has the pool's memory, but none of its threads

// Never destroyed: detached threads may outlive the statics.
Pool& pool() {
  static Pool* made = [] {
    pthread_atfork(nullptr, nullptr, [] { forked = true; });
    return new Pool;
  }();
  return *made;
}

}  // namespace

void run_pieces(std::int64_t pieces, int threads, PieceFunction work, const void* context) {
  Job job{pieces, work, context};
  const int helpers = static_cast<int>(std::min<std::int64_t>(threads, pieces)) - 1;
  if (helpers < 1 || inside || forked || !pool().run(job, helpers)) job.take_all();
}

}  // namespace mpctensor
