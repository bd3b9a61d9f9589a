#include "run/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>

#include "base/console.h"
#include "base/file.h"
#include "base/log.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "resolved_config.yaml";
constexpr const char* kOwn = ".hone";
constexpr const char* kUnfinished = ".hone/unfinished";
constexpr const char* kEarlier = ".hone/earlier-run";
constexpr const char* kMoving = ".hone/moving";  // an earlier run on its way there or back
constexpr const char* kDiscarded = ".hone/discarded";
constexpr const char* kNewModel = ".hone/model";
constexpr const char* kOldModel = ".hone/model.previous";
// What a run leaves, beside its configuration.
constexpr const char* kResults[] = {
    "model",      "checkpoints",   "tensorboard",       "report.json", "report.html",
    "report.txt", "metrics.jsonl", "predictions.jsonl", "tests",       kUnfinished};

// Also of a broken link.
bool is_there(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0;
}

void make_folder(const std::string& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed)
    throw Error(ErrorKind::kUsage, {path}, "the folder cannot be made: " + failed.message());
}

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> host{};
  ::gethostname(host.data(), HOST_NAME_MAX);
  return host.data();
}

bool is_same_file(int fd, const std::string& path) {
  struct stat open_one{}, named{};
  return ::fstat(fd, &open_one) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

// ---- where a path leads

// Every place that the system looks at on the way to `path`: each folder, each link, its target.
std::vector<fs::path> places_on_the_way(const std::string& path) {
  constexpr int kMostLinks = 40;  // as the system has it
  std::error_code failed;
  const fs::path whole = fs::absolute(path, failed);
  std::deque<fs::path> ahead(whole.begin(), whole.end());
  std::vector<fs::path> seen;
  fs::path at;
  for (int links = 0; !ahead.empty();) {
    const fs::path part = ahead.front();
    ahead.pop_front();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      at = at.parent_path();
      continue;
    }
    const fs::path next = part.is_absolute() ? part : at / part;
    seen.push_back(next);
    const bool is_link = fs::is_symlink(next, failed) && ++links <= kMostLinks;
    if (!is_link) {
      at = next;
      continue;
    }
    const fs::path target = fs::read_symlink(next, failed);
    ahead.insert(ahead.begin(), target.begin(), target.end());
  }
  return seen;
}

bool is_at_or_below(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

}  // namespace

// ---- the lock

FolderLock::FolderLock(const std::string& folder)
    : folder_(folder + "/" + kOwn), path_(folder_ + "/lock") {
  constexpr int kTries = 1000;  // another run that ends takes file and folder away
  for (int tries = 0; !try_lock(folder); ++tries) {
    if (tries == kTries) throw Error(ErrorKind::kUsage, {path_}, "cannot be made");
  }
  const std::string holder = fmt::format("process {} on {}", ::getpid(), host_name());
  if (::ftruncate(fd_, 0) != 0 ||
      ::pwrite(fd_, holder.data(), holder.size(), 0) != static_cast<ssize_t>(holder.size()))
    log_debug("{}: cannot be written: {}", path_, std::strerror(errno));
}

bool FolderLock::try_lock(const std::string& folder) {
  std::error_code failed;
  fs::create_directories(folder_, failed);
  if (failed && failed != std::errc::no_such_file_or_directory)
    throw Error(ErrorKind::kUsage, {folder}, "the folder cannot be made: " + failed.message());
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0 && errno != ENOENT)
    throw Error(ErrorKind::kUsage, {path_},
                fmt::format("cannot be written: {}", std::strerror(errno)));
  if (fd_ < 0) return false;
  const int reason = ::flock(fd_, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
  const bool is_still_there = is_same_file(fd_, path_);
  if (reason == EWOULDBLOCK || !is_still_there) ::close(fd_);
  if (reason == EWOULDBLOCK) refuse_second(folder);
  if (reason != 0)
    log_warn("{}: this file system has no locks ({}): start no second run in this folder", folder,
             std::strerror(reason));
  return is_still_there;
}

void FolderLock::refuse_second(const std::string& folder) const {
  std::string holder;
  std::ifstream file(path_);
  std::getline(file, holder);
  throw Error(ErrorKind::kUsage, {folder},
              fmt::format("another run works in this folder{}. Wait for its end, or name another "
                          "\"output.dir\"",
                          holder.empty() ? "" : " (" + holder + ")"));
}

FolderLock::~FolderLock() {
  ::unlink(path_.c_str());  // while it is held, so that nobody else's is removed
  ::close(fd_);
  ::rmdir(folder_.c_str());  // where nothing else is in it
}

// ---- the folder

RunFolder::RunFolder(std::string path, bool gives_report)
    : path_(std::move(path)),
      gives_report_(gives_report),
      is_new_(!fs::exists(path_)),
      checkpoints_(path_ + "/checkpoints"),
      lock_(std::make_unique<FolderLock>(path_)) {}

RunFolder::~RunFolder() {
  try {
    if (began_ && has(kMoving)) put_back();
    if (began_ && !finished_ && has(kEarlier) && !checkpoints_.has_last()) {
      restore_earlier();
      log_warn("{}: the earlier run is back in its place", path_);
    }
  } catch (const std::exception& error) {
    log_warn("{}; the next start in this folder puts the earlier run back", error.what());
  }
  lock_.reset();
  if (is_new_) ::rmdir(path_.c_str());  // where nothing was written into it
}

std::string RunFolder::config_in(const std::string& folder) { return folder + "/" + kConfig; }

bool RunFolder::has(const std::string& name) const { return is_there(file(name)); }

bool RunFolder::is_finished(const std::string& folder, bool gives_report) {
  return !is_there(folder + "/" + kUnfinished) &&
         is_there(folder + (gives_report ? "/report.json" : "/model/hone.json"));
}

// Whether hone made what is here, earlier versions of it included.
bool RunFolder::holds_run() const {
  for (const char* name : {"last", "last.previous", "best", "best.previous"}) {
    if (is_there(checkpoints_.path() + "/" + name + "/trainer_state.json")) return true;
  }
  return has(kUnfinished) || has(kConfig) || has(kEarlier) || has(kMoving) ||
         (has("model/hone.json") && has("metrics.jsonl"));
}

bool RunFolder::open(bool resume, bool overwrite, const TrainOptions& options) {
  refuse_foreign();
  clear_scraps();
  recover(resume || overwrite);
  const bool can_go_on = checkpoints_.has_last();
  if (resume && is_finished() && !(can_go_on && goes_further(options)))
    throw Error(ErrorKind::kUsage, {path_},
                "holds a finished run; there is nothing to resume. To train longer, raise "
                "\"num_train_epochs\" or \"max_steps\" (\"early_stopping_patience\" where that "
                "ended it); to begin anew, --overwrite.");
  if (resume && !can_go_on)
    log_warn("{}: no checkpoint yet; the run starts from the beginning", path_);
  continues_ = resume && can_go_on;
  if (resume || overwrite) return continues_;
  if (is_finished())
    throw Error(ErrorKind::kUsage, {path_},
                "holds a finished run. Name another output.dir, or replace it with --overwrite.");
  if (has("checkpoints") || has("model"))
    throw Error(ErrorKind::kUsage, {path_},
                fmt::format("holds an interrupted run. Continue it with {}, name another "
                            "output.dir, or replace it with --overwrite.",
                            how_to_go_on()));
  return false;
}

std::string RunFolder::how_to_go_on() const {
  return has(kConfig) ? fmt::format("\"hone train {} --resume\"", console::shell_quoted(config()))
                      : "--resume";
}

// A finished run goes on where it is asked for more than it was before.
bool RunFolder::goes_further(const TrainOptions& now) const {
  const std::optional<Json> state = checkpoints_.last_state();
  if (!state || !state->contains("options")) return false;
  const Json& before = (*state)["options"];
  const int64_t steps = before.value("max_steps", int64_t{-1});
  if (state->value("stopped_early", false))
    return now.early_stopping_patience == 0 ||
           now.early_stopping_patience > before.value("early_stopping_patience", int64_t{0});
  if (now.max_steps > 0 || steps > 0)
    return now.max_steps > state->value("total_steps", int64_t{0}) || now.max_steps <= 0;
  return now.num_train_epochs > before.value("num_train_epochs", 0.0);
}

void RunFolder::clear_scraps() const {
  remove_leftovers(path_);
  remove_leftovers(file(kOwn));
  for (const char* name : {kDiscarded, kNewModel, "checkpoints/last.new", "checkpoints/best.new"})
    fs::remove_all(file(name));
  if (has(kOldModel) && !has("model")) rename_path(file(kOldModel), file("model"));
  fs::remove_all(file(kOldModel));
}

// An earlier run that a killed one set aside.
void RunFolder::recover(bool begins_anew) {
  if (has(kMoving)) put_back();
  if (!has(kEarlier)) return;
  if (checkpoints_.has_last() || is_finished()) {
    replace_earlier();
  } else if (!begins_anew) {
    restore_earlier();
  }
}

// Files of these names that no run of hone left are the user's own.
void RunFolder::refuse_foreign() const {
  const bool is_ours = holds_run();
  for (const char* name : kResults) {
    const bool is_foreign_model = std::string_view(name) == "model" && !has("model/hone.json");
    if (!has(name) || (is_ours && !is_foreign_model)) continue;
    throw Error(ErrorKind::kUsage, {file(name)},
                "was there before, and is nothing that a run of hone left; this run would replace "
                "it. Move it, or name another \"output.dir\".");
  }
}

void RunFolder::begin(const std::string& config_text) {
  began_ = true;
  if (!continues_) set_aside();
  write_file(file(kUnfinished),
             fmt::format("The run in this folder has not ended. To go on: hone train {} --resume\n",
                         console::shell_quoted(config())));
  if (!config_text.empty()) write_file(config(), config_text);
}

std::vector<std::string> RunFolder::present_results() const {
  std::vector<std::string> names;
  for (const char* name : kResults) {
    if (has(name)) names.emplace_back(name);
  }
  return names;
}

// All at once or not at all: they move by way of another name. The configuration stays in place
// too, for it may be the very one that this run was started with.
void RunFolder::set_aside() const {
  const auto names = present_results();
  if (has(kEarlier)) return discard(names);  // those of a run that had no checkpoint yet
  if (names.empty()) return;
  make_folder(file(kMoving));
  for (const std::string& name : names) rename_path(file(name), in(kMoving, name));
  if (has(kConfig)) write_file(in(kMoving, kConfig), read_file(config(), ErrorKind::kUsage));
  sync_folder(file(kMoving));
  rename_path(file(kMoving), file(kEarlier));
  sync_folder(path_);
}

// Finishes a move that was begun, in either direction.
void RunFolder::put_back() const {
  for (const char* name : kResults) {
    if (is_there(in(kMoving, name))) rename_path(in(kMoving, name), file(name));
  }
  if (is_there(in(kMoving, kConfig))) rename_path(in(kMoving, kConfig), config());
  fs::remove_all(file(kMoving));
  sync_folder(path_);
}

// By way of another name, so that a kill leaves none of them by half in its place.
void RunFolder::discard(const std::vector<std::string>& names) const {
  make_folder(file(kDiscarded));
  for (const std::string& name : names) rename_path(file(name), in(kDiscarded, name));
  fs::remove_all(file(kDiscarded));
}

void RunFolder::restore_earlier() const {
  discard(present_results());
  rename_path(file(kEarlier), file(kMoving));
  put_back();
}

void RunFolder::replace_earlier() const {
  if (!has(kEarlier)) return;
  rename_path(file(kEarlier), file(kDiscarded));
  fs::remove_all(file(kDiscarded));
}

// Where one of a run's files stands among those that were moved.
std::string RunFolder::in(const std::string& folder, const std::string& name) const {
  return file(folder) + "/" + fs::path(name).filename().string();
}

void RunFolder::save_model(const Pipeline& pipeline) {
  try {
    pipeline.save(file(kNewModel));
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(file(kNewModel), ignored);
    throw;
  }
  if (has("model")) rename_path(file("model"), file(kOldModel));
  rename_path(file(kNewModel), file("model"));
  sync_folder(path_);
  fs::remove_all(file(kOldModel));
}

void RunFolder::finish() {
  replace_earlier();
  fs::remove(file(kUnfinished));
  sync_folder(path_);
  finished_ = true;
}

// ---- inputs

namespace {

void refuse_inputs(const std::string& folder, const std::vector<std::string>& names,
                   const std::vector<std::string>& inputs) {
  std::error_code failed;
  const fs::path whole = fs::weakly_canonical(fs::absolute(folder, failed), failed);
  for (const std::string& input : inputs) {
    for (const fs::path& place : places_on_the_way(input)) {
      for (const std::string& name : names) {
        if (!is_at_or_below(place, whole / name)) continue;
        throw Error(ErrorKind::kUsage, {input},
                    fmt::format("is read, but \"{}/{}\", where it lies, would be replaced. Write "
                                "into another folder, or move it",
                                folder, name));
      }
    }
  }
}

}  // namespace

void refuse_inputs_in_run(const std::string& folder, const std::vector<std::string>& inputs) {
  std::vector<std::string> names(std::begin(kResults), std::end(kResults));
  names.insert(names.end(), {kConfig, kOwn});
  refuse_inputs(folder, names, inputs);
}

void refuse_report_over(const std::string& folder, const std::vector<std::string>& inputs) {
  for (const char* name : {kConfig, "checkpoints"}) {
    if (is_there(folder + "/" + name))
      throw Error(ErrorKind::kUsage, {folder},
                  "holds a run, whose report would be replaced. Name another folder");
  }
  refuse_inputs(folder, {"report.json", "report.html", "report.txt", "predictions.jsonl"}, inputs);
}

}  // namespace hone
