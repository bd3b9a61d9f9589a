// The folder of a run (output.dir): who works in it, how far the run in it came, and what becomes
// of an earlier one.
//
// What a run needs only while it has not ended stands in `.hone`: the lock, a mark that it has not
// ended, a model half written, and an earlier run: a new one first moves it there; it comes back
// where the new one fails, and goes once the new one has a checkpoint to go on from, or its end. So
// at any moment one of the two is whole.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tasks/pipeline.h"
#include "tune/checkpoint.h"
#include "tune/trainer.h"

namespace hone {

// Nobody else works in a folder while this lives; a crash lets it go. Error(kUsage) that names who
// does.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  bool try_lock(const std::string& folder);  // false: the file went away meanwhile
  [[noreturn]] void refuse_second(const std::string& folder) const;

  std::string folder_, path_;
  int fd_ = -1;
};

class RunFolder {
 public:
  // Makes the folder and locks it. `gives_report`: the run ends with a report, not with the model.
  RunFolder(std::string path, bool gives_report);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  // Whether the run continues. Puts in order what a killed run left. Error(kUsage) where the folder
  // holds a run that neither is to be continued nor may be replaced, or files that are no run's.
  bool open(bool resume, bool overwrite, const TrainOptions& options);
  // Before the first file is written; `config` becomes resolved_config.yaml, unless it is empty. An
  // earlier run is set aside, unless this one continues it.
  void begin(const std::string& config);
  void replace_earlier() const;  // the run has a checkpoint now
  void save_model(const Pipeline& pipeline);
  void finish();  // all that the run gives is there

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  static std::string config_in(const std::string& folder);
  // Whether the run in a folder has ended.
  static bool is_finished(const std::string& folder, bool gives_report);
  std::string config() const { return config_in(path_); }  // the run's own, resolved
  const std::string& path() const { return path_; }

 private:
  bool has(const std::string& name) const;
  bool is_finished() const { return is_finished(path_, gives_report_); }
  bool holds_run() const;
  bool goes_further(const TrainOptions& options) const;
  std::string how_to_go_on() const;
  std::string in(const std::string& folder, const std::string& name) const;
  void clear_scraps() const;
  std::vector<std::string> present_results() const;
  void recover(bool begins_anew);
  void refuse_foreign() const;
  void set_aside() const;
  void discard(const std::vector<std::string>& names) const;
  void put_back() const;
  void restore_earlier() const;

  std::string path_;
  bool gives_report_, continues_ = false, began_ = false, finished_ = false;
  bool is_new_;  // made by this
  CheckpointFolder checkpoints_;
  std::unique_ptr<FolderLock> lock_;
};

// Error(kUsage) where one of the inputs is, or lies below, something that a run in `folder` writes
// or removes; links are followed on both sides.
void refuse_inputs_in_run(const std::string& folder, const std::vector<std::string>& inputs);
// The same for a report alone, which may not take the place of a run's either.
void refuse_report_over(const std::string& folder, const std::vector<std::string>& inputs);

}  // namespace hone
