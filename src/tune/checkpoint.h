// Checkpoints of a run: `checkpoints/last` to go on from, `checkpoints/best` to keep.
//
// A checkpoint is a folder with model.safetensors, optimizer.safetensors (not in `best`), perhaps
// regularisers.safetensors (neither), and trainer_state.json, which is written last and holds sizes
// and checksums of the others: without it, or where a checksum differs, the folder does not count.
// It is written as `<name>.new`, synced, compared with what was to be written, and renamed; the one
// before stays as
// `<name>.previous`. A good one is removed only when a better one is known to be good, so a run
// killed anywhere finds a good checkpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/json.h"
#include "models/weights.h"

namespace hone {

struct Checkpoint {
  Json state;                   // run_progress.h and run_identity.h
  StateDict weights;            // those that are trained, fp32, under the model's names
  StateDict optimizer;          // empty in `best`
  StateDict regularisers = {};  // empty in `best`, and where they keep nothing
};

class CheckpointFolder {
 public:
  explicit CheckpointFolder(std::string folder) : folder_(std::move(folder)) {}

  // Error(kUsage) with the figures where the disk has no room; what was saved before is untouched.
  std::string save_last(const Checkpoint& checkpoint) const { return save("last", checkpoint); }
  std::string save_best(const Checkpoint& checkpoint) const { return save("best", checkpoint); }

  bool has_last() const;  // or the one before it, whether or not they can be read
  // The state of `last`, or of the one before it; nothing where neither has a good one.
  std::optional<Json> last_state() const;

  // Where `last` is damaged or missing, the one before it, and `warn` is told. Error(kModel) that
  // names the file and the defect where neither is good, Error(kUsage) where there is none at all.
  Checkpoint load_last(const std::function<void(const std::string&)>& warn) const {
    return load("last", warn);
  }
  // The best weights, where they are those of `step`; else nothing, and `warn` is told why: a run
  // whose `last` is good can end, whatever became of `best`.
  std::optional<Checkpoint> load_best_of(int64_t step,
                                         const std::function<void(const std::string&)>& warn) const;

  // A new run must not mix with the checkpoints of another: Error(kUsage) where there are any.
  void refuse_existing() const;

  const std::string& path() const { return folder_; }

 private:
  std::string save(const std::string& name, const Checkpoint& checkpoint) const;
  Checkpoint load(const std::string& name,
                  const std::function<void(const std::string&)>& warn) const;

  std::string folder_;
};

// What a run's checkpoints and its model take at one time: two of `last` (`trained` numbers, and
// `state_bytes` of optimizer and regularisers) where there is one, two of `best`, and the model
// of `all` numbers.
int64_t disk_needed(int64_t trained, int64_t all, int64_t state_bytes, bool keeps_last);

int64_t bytes_below(const std::string& folder);  // of all files in it; 0 where it is not there

// Error(kUsage) with both figures where `folder`'s file system has less than `bytes` free. `what`
// says for what they are.
void require_disk(const std::string& folder, int64_t bytes, const std::string& what);

}  // namespace hone
