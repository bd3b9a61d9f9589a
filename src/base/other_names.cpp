#include "base/other_names.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace hone {
namespace {

struct OtherNames {
  std::string_view key, names;  // names: separated by blanks
};

// Transformers, LLaMA-Factory, spaCy, scikit-learn, pandas, Keras and fastText use these.
constexpr std::array kOtherNames = std::to_array<OtherNames>({
    {"path",
     "file files filename file_name filepath file_path data_file data_files dataset dataset_path "
     "name model model_name model_path model_name_or_path name_or_path pretrained "
     "pretrained_model_name_or_path pretrained_model pretrained_path checkpoint base_model"},
    {"dir", "path folder output_dir output_path out_dir save_dir save_path directory run_dir"},
    {"overwrite", "overwrite_output_dir force"},
    {"model", "backbone encoder pretrained"},
    {"train",
     "train_file train_path train_data train_dataset training training_data train_set "
     "training_args trainer training_arguments"},
    {"validation",
     "dev valid val eval evaluation dev_file dev_path dev_set valid_file val_file val_path "
     "eval_file eval_dataset validation_file validation_data validation_set validation_split "
     "validation_size val_size valid_size val_ratio dev_size development"},
    {"test",
     "test_file test_path test_data test_dataset test_set test_size test_ratio test_split "
     "holdout predict"},
    {"split", "splits train_test_split"},
    {"output", "out results save"},
    {"separator", "sep delimiter delim field_separator column_separator"},
    {"has_header", "header skip_header"},
    {"tag_scheme",
     "scheme schema tagging_scheme tag_schema tag_format tag_type tagset label_scheme "
     "tagging_schema encoding_scheme"},
    {"comment", "comments comment_char comment_prefix"},
    {"columns", "names column_names fieldnames header_names"},
    {"has_quotes", "quoting quotechar quote quotes"},
    {"on_bad_row", "on_bad_lines error_bad_lines on_error errors skip_bad_rows skip_bad_lines"},
    {"format", "type file_type filetype file_format data_format"},
    {"encoding", "charset codec"},
    {"fields", "mapping rename column_mapping columns_map field_map"},
    {"duplicates", "drop_duplicates dedup deduplicate remove_duplicates"},
    {"group", "groups group_by group_column group_key group_field"},
    {"stratify", "stratified stratify_by stratify_column"},
    {"text",
     "text_column text_column_name text_col text_field text_key sentence sentence1 text_a "
     "input input_column premise query"},
    {"text_pair", "text_b text2 sentence2 pair second_text hypothesis"},
    {"label",
     "label_column label_column_name label_columns label_col label_field label_key target "
     "target_column y class"},
    {"labels",
     "label_names label_list classes class_names categories id2label label2id num_labels"},
    {"label_separator", "label_sep label_delimiter labels_separator"},
    {"type", "problem_type task_type multi_label multilabel multi_class"},
    {"name", "task task_name task_type type"},
    {"tags", "tag_column tags_column label_column ner_tags labels"},
    {"tokens", "token_column tokens_column words"},
    {"optim", "optimizer optimiser optimizer_name optimizer_type"},
    {"freeze", "frozen freeze_layers freeze_parameters frozen_layers freeze_modules"},
    {"groups", "parameter_groups param_groups layer_wise_learning_rates"},
    {"regularise", "regularize regularisation regularization regularizer regularizers"},
    {"num_train_epochs",
     "epochs epoch num_epochs max_epochs n_epochs n_epoch nb_epoch train_epochs"},
    {"max_steps", "max_train_steps num_train_steps total_steps steps num_steps max_iter"},
    {"per_device_train_batch_size",
     "batch_size train_batch_size batchsize bs per_gpu_train_batch_size per_device_batch_size "
     "micro_batch_size batch"},
    {"per_device_eval_batch_tokens",
     "eval_batch_size per_device_eval_batch_size per_gpu_eval_batch_size valid_batch_size"},
    {"max_tokens_per_batch", "batch_tokens max_tokens tokens_per_batch"},
    {"gradient_accumulation_steps",
     "gradient_accumulation grad_accum accumulate_gradient accumulate_grad_batches "
     "accumulation_steps grad_accumulation_steps"},
    {"learning_rate", "lr learn_rate learning_rate_init initial_lr max_lr base_lr peak_lr alpha"},
    {"weight_decay", "wd l2 decay l2_reg"},
    {"adam_epsilon", "adam_eps eps epsilon"},
    {"adam_beta1", "beta1 betas"},
    {"adam_beta2", "beta2"},
    {"max_grad_norm",
     "grad_clip clip_grad clip_grad_norm gradient_clipping gradient_clip_val grad_norm clipnorm "
     "clip_norm"},
    {"lr_scheduler_type", "lr_scheduler scheduler scheduler_type schedule lr_schedule"},
    {"warmup_ratio", "warmup warmup_proportion warmup_fraction warmup_percent"},
    {"warmup_steps", "warmup num_warmup_steps warmup_updates"},
    {"label_smoothing_factor", "label_smoothing smoothing"},
    {"max_seq_length",
     "max_length max_len maxlen max_seq_len max_sequence_length cutoff_len sequence_length seq_len "
     "seq_length model_max_length"},
    {"seed", "random_state random_seed rng_seed"},
    {"recompute", "gradient_checkpointing grad_checkpointing activation_checkpointing"},
    {"precision", "fp16 bf16 amp mixed_precision dtype torch_dtype tf32 half use_amp"},
    {"cuda_graphs", "cuda_graph cudagraph cudagraphs use_cuda_graphs use_cuda_graph"},
    {"device", "cuda gpu gpus gpu_id no_cuda use_cpu use_cuda accelerator"},
    {"threads", "n_jobs num_threads num_workers workers nthreads dataloader_num_workers"},
    {"logging_steps", "log_every log_steps logging_interval log_interval log_every_n_steps"},
    {"eval_strategy", "evaluation_strategy eval_every"},
    {"eval_steps", "evaluation_steps eval_every eval_frequency eval_interval val_check_interval"},
    {"save_strategy", "save_every"},
    {"save_steps", "save_every save_interval checkpoint_steps checkpointing_steps"},
    {"early_stopping_patience", "patience early_stopping early_stop"},
    {"early_stopping_threshold", "min_delta early_stopping_min_delta early_stopping_delta"},
    {"base",
     "load_in_4bit load_in_8bit quantization quantization_config quantization_bit quantize "
     "bnb_4bit_quant_type"},
    {"double_quant",
     "bnb_4bit_use_double_quant use_double_quant double_quantization compress_statistics"},
    {"metric_for_best_model", "metric monitor main_metric best_metric eval_metric"},
    {"load_best_model_at_end", "load_best restore_best_weights save_best"},
});

std::string plain(std::string_view name) {
  std::string out(name);
  for (char& c : out)
    c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool has_word(std::string_view words, std::string_view word) {
  for (size_t begin = 0; begin < words.size();) {
    const size_t end = std::min(words.find(' ', begin), words.size());
    if (words.substr(begin, end - begin) == word) return true;
    begin = end + 1;
  }
  return false;
}

}  // namespace

std::vector<std::string> keys_called(std::string_view name) {
  const std::string word = plain(name);
  std::vector<std::string> keys;
  for (const OtherNames& entry : kOtherNames) {
    if (entry.key == word || has_word(entry.names, word)) keys.emplace_back(entry.key);
  }
  return keys;
}

}  // namespace hone
