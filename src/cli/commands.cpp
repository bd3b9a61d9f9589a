#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "cli/command.h"

namespace hone {
namespace {

constexpr const char* kOverrides =
    "Configuration values by their dotted names, e.g. train.learning_rate=3e-5";
constexpr const char* kSourceOptions =
    "How to read the data, with the keys of a data section, e.g. format=csv fields.text=sentence "
    "clean.trim=false; options of the task, e.g. task.unknown_labels=count";

CLI::Option* positional(CLI::App& app, const std::string& name, const std::string& help) {
  return app.add_option(name, CLI::callback_t{}, help)->type_name("");
}

CLI::Option* value(CLI::App& app, const std::string& name, const std::string& type,
                   const std::string& help) {
  return app.add_option(name, CLI::callback_t{}, help)->type_name(type);
}

void flag(CLI::App& app, const std::string& name, const std::string& help) {
  app.add_flag(name)->description(help);
}

void values(CLI::App& app, const std::string& name, const std::string& help) {
  positional(app, name, help)
      ->expected(0, CLI::detail::expected_max_vector_size)
      ->allow_extra_args()
      ->take_all();
}

// Takes the words of a closed list; anything else is told the nearest.
CLI::Option* one_of(CLI::Option* option, const std::vector<std::string>& words) {
  return option->check([words](const std::string& word) {
    if (std::find(words.begin(), words.end(), word) != words.end()) return std::string();
    return fmt::format("\"{}\" is none of {}{}", word, fmt::join(words, ", "),
                       did_you_mean(word, words));
  });
}

CLI::Option* count(CLI::App& app, const std::string& name, int64_t least, const std::string& help) {
  return value(app, name, "N", help)->check([least](const std::string& text) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool is_number =
        error == std::errc() && end == text.data() + text.size() && number >= least;
    return is_number ? std::string()
                     : fmt::format("\"{}\" is not a whole number from {} on", text, least);
  });
}

void task_option(CLI::App& app) {
  value(app, "--task", "NAME", "Of a model of several tasks the one that all rows are of");
}

void machine_options(CLI::App& app, bool has_batches = true) {
  one_of(value(app, "--precision", "auto|fp32|bf16|int8", "Numbers of the forward pass"),
         {"auto", "fp32", "bf16", "int8"})
      ->default_str("auto");
  value(app, "--device", "auto|cpu|cuda|cuda:N",
        "Where it runs; auto: on the first GPU, where there is one")
      ->default_str("auto");
  count(app, "--threads", 0, "Threads; 0: one per core")->default_str("0");
  if (has_batches)
    count(app, "--max-tokens", 1, "Tokens in one forward pass; on a GPU usually 16384")
        ->default_str("2048");
}

void output_flags(CLI::App& app) {
  flag(app, "--json", "Machine-readable results on stdout");
  flag(app, "--quiet", "No progress, warnings and errors only");
}

void define_train(CLI::App& app) {
  positional(app, "CONFIG", "The run's configuration (YAML)")->required();
  values(app, "KEY=VALUE", kOverrides);
  flag(app, "--resume", "Continue an interrupted run from its last checkpoint");
  flag(app, "--overwrite", "Replace what an earlier run left in the output folder");
  output_flags(app);
}

void define_check(CLI::App& app) {
  positional(app, "CONFIG", "The run's configuration (YAML)")->required();
  values(app, "KEY=VALUE", kOverrides);
  flag(app, "--baseline",
       "Also what TF-IDF and a logistic regression give on these data (classify)");
  value(
      app, "--add-tokens", "FOLDER",
      "Write the base model there, with pieces for frequent characters that its vocabulary lacks");
  count(app, "--least", 1, "How often a character must lack to get a piece")->default_str("5");
  output_flags(app);
}

void define_find_lr(CLI::App& app) {
  positional(app, "CONFIG", "The run's configuration (YAML)")->required();
  values(app, "KEY=VALUE", kOverrides);
  value(app, "--lowest", "RATE", "Of the first step")->default_str("1e-7");
  value(app, "--highest", "RATE", "Of the last step")->default_str("1");
  count(app, "--steps", 20, "Steps, the rate rising by an even factor")->default_str("100");
  value(app, "--report", "FOLDER", "Write report.json, report.html and report.txt there");
  output_flags(app);
}

void adapter_option(CLI::App& app) {
  value(
      app, "--adapter", "NAME=FOLDER",
      "Another adapter of MODEL's base model, for rows whose field \"adapter\" is NAME; again for "
      "each further one")
      ->take_all();
}

void define_eval(CLI::App& app) {
  positional(app, "MODEL", "A model folder that hone saved")->required();
  positional(app, "DATA", "Labelled data")->required();
  values(app, "KEY=VALUE", kSourceOptions);
  value(app, "--report", "FOLDER",
        "Write report.json, report.html, report.txt and predictions.jsonl there");
  adapter_option(app);
  task_option(app);
  machine_options(app);
  output_flags(app);
}

void define_predict(CLI::App& app) {
  positional(app, "MODEL", "A model folder that hone saved")->required();
  positional(app, "FILE", "JSON lines or plain lines; - or nothing: standard input")
      ->default_str("-");
  values(app, "KEY=VALUE", kSourceOptions);
  adapter_option(app);
  task_option(app);
  machine_options(app);
  flag(app, "--quiet", "No progress, warnings and errors only");
}

void define_chat(CLI::App& app) {
  positional(app, "MODEL", "A model folder of hone or Hugging Face, or a hub name")->required();
  values(app, "KEY=VALUE",
         "Options of its answers, e.g. max_new_tokens=200 do_sample=true temperature=0.7 seed=1");
  value(app, "--system", "TEXT", "The system message");
  machine_options(app, /*has_batches=*/false);
  output_flags(app);
}

void define_embed(CLI::App& app) {
  positional(app, "MODEL", "A model folder of hone or sentence-transformers, or a hub name")
      ->required();
  positional(app, "FILE", "JSON lines or plain lines; - or nothing: standard input")
      ->default_str("-");
  values(app, "KEY=VALUE", kSourceOptions);
  value(app, "--out", "FILE", "Write there: .npy (numpy's), or .jsonl; else JSON lines on stdout");
  value(app, "--prompt", "TEXT", "Put before each text, e.g. \"query: \" where e5 is asked");
  machine_options(app);
  flag(app, "--quiet", "No progress, warnings and errors only");
}

void define_search(CLI::App& app) {
  positional(app, "MODEL", "A model folder of hone or sentence-transformers, or a hub name")
      ->required();
  positional(app, "CORPUS", "Texts to search, or their vectors: a .npy file of hone embed")
      ->required();
  positional(app, "QUERIES", "JSON lines or plain lines; - or nothing: standard input")
      ->default_str("-");
  values(app, "KEY=VALUE", "How to read CORPUS, with the keys of a data section");
  count(app, "-k", 1, "Texts to show for each query")->default_str("10");
  value(app, "--texts", "FILE", "The texts of a .npy file, to be shown with the hits");
  value(app, "--prompt", "TEXT", "Put before each text of CORPUS, e.g. \"passage: \" for e5");
  value(app, "--query-prompt", "TEXT", "Put before each query, e.g. \"query: \" for e5");
  machine_options(app);
  flag(app, "--quiet", "No progress, warnings and errors only");
}

void define_score(CLI::App& app) {
  positional(app, "TASK", "The task, e.g. classify; or a model folder that hone saved")->required();
  positional(app, "GOLD", "Labelled data")->required();
  positional(app, "PREDICTED", "Predictions in the same order, as hone predict writes them")
      ->required();
  values(app, "KEY=VALUE",
         "Options of the task, e.g. label=intent; how to read GOLD, e.g. data.format=csv");
  value(app, "--against", "FILE",
        "Other predictions of the same rows: how far the scores differ, and by chance how often");
  value(app, "--report", "FOLDER", "Write report.json, report.html and report.txt there");
  task_option(app);
  output_flags(app);
}

void define_compare(CLI::App& app) {
  positional(app, "RUN", "The folder of a run that has ended")->required();
  positional(app, "OTHER", "That of another on the same test rows")->required();
  value(app, "--report", "FOLDER", "Write report.json, report.html and report.txt there");
  output_flags(app);
}

void define_ensemble(CLI::App& app) {
  positional(app, "OUT", "Where the model is written: a new folder")->required();
  values(
      app, "MODEL",
      "Model folders that hone saved, two or more; and KEY=VALUE: how --data is read, options of "
      "the task, e.g. task.threshold=0.5");
  one_of(value(app, "--as", "probabilities|soup|greedy-soup",
               "All answer, each time; one model of their mean weights; the same of those that "
               "make it no worse"),
         {"probabilities", "soup", "greedy-soup"})
      ->default_str("probabilities");
  value(app, "--data", "FILE", "Labelled data that a greedy soup chooses by; no test data");
  count(app, "--threads", 0, "Threads; 0: one per core")->default_str("0");
  count(app, "--max-tokens", 1, "Tokens in one forward pass; on a GPU usually 16384")
      ->default_str("2048");
  output_flags(app);
}

void define_attack(CLI::App& app) {
  positional(app, "MODEL", "A model folder that hone saved")->required();
  positional(app, "DATA", "Labelled data")->required();
  values(app, "KEY=VALUE", kSourceOptions);
  value(app, "--by", "NAME,NAME",
        "How words are written otherwise: typos, homoglyphs, case, punctuation, blanks, synonyms, "
        "masked; else all that need no file, and those whose file is given");
  value(app, "--lexicon", "FILE", "Of synonyms: pairs of words, or groups as Cilin has them");
  value(app, "--masked", "MODEL",
        "A masked language model that offers words: a folder or hub name");
  count(app, "--rows", 0, "Rows to attack, drawn by the seed; 0: all")->default_str("200");
  value(app, "--most-words", "SHARE", "Of a row's words that may be replaced")->default_str("0.2");
  count(app, "--candidates", 1, "Of each kind for a word, at most")->default_str("8");
  one_of(value(app, "--order", "importance|random", "Which words come first"),
         {"importance", "random"})
      ->default_str("importance");
  count(app, "--seed", 0, "Of what is drawn")->default_str("42");
  value(app, "--report", "FOLDER",
        "Write report.json, report.html, report.txt and attacked.jsonl there");
  task_option(app);
  machine_options(app);
  output_flags(app);
}

void define_merge(CLI::App& app) {
  positional(
      app, "ADAPTER",
      "An adapter's folder, of hone or of Hugging Face PEFT; with --task any model of several "
      "tasks")
      ->required();
  positional(app, "OUT", "Where the merged model is written: a new folder")->required();
  values(app, "OTHER=WEIGHT",
         "More adapters of the same base model, each with its weight in the sum: b/model=0.5");
  value(app, "--weight", "NUMBER", "ADAPTER's own weight in that sum")->default_str("1");
  one_of(value(app, "--combination", "linear|ties|dare_linear|dare_ties",
               "How the adapters' changes are put together"),
         {"linear", "ties", "dare_linear", "dare_ties"})
      ->default_str("linear");
  value(app, "--density", "SHARE", "Of each adapter's changes that ties and dare keep")
      ->default_str("0.5");
  count(app, "--seed", 0, "Of dare's choice")->default_str("42");
  value(app, "--task", "NAME", "Of several tasks the one that the new model is for, alone");
  output_flags(app);
}

void define_tokenize(CLI::App& app) {
  positional(app, "MODEL", "A model folder, hub name, tokenizer.json, or a folder with vocab.txt")
      ->required();
  positional(app, "FILE", "Plain lines; - or nothing: standard input")->default_str("-");
  one_of(value(app, "--do-lower-case", "true|false",
               "Where only vocab.txt is there: whether the model is an uncased one"),
         {"true", "false"});
  flag(app, "--jsonl", "Each line is a JSON string, or an array of two for a pair");
  flag(app, "--no-special-tokens", "Leave out what the model adds around a text");
  flag(
      app, "--chat",
      "Each line is a conversation: a list of messages, or {\"messages\": […], \"tools\": […], …}");
  value(app, "--chat-template", "FILE|NAME",
        "With --chat: another template than the model's, of a file or of hone (chatml, alpaca)");
}

void define_tokenizer(CLI::App& app) {
  one_of(positional(app, "ACTION", "train: learn one from texts")->required(), {"train"});
  positional(app, "FOLDER", "Where it is saved")->required();
  positional(app, "DATA", "Texts: a file, a quoted pattern, a folder; - for standard input")
      ->required();
  values(app, "KEY=VALUE",
         "What to learn, e.g. algorithm=unigram vocab_size=8000 text=[title,review]; how to read "
         "the data, e.g. data.format=csv");
  output_flags(app);
}

void define_suite(CLI::App& app) {
  positional(app, "LIST", "The list of runs (YAML), as docs/suite.md describes it")->required();
  values(app, "KEY=VALUE", "Configuration values of every entry, e.g. train.num_train_epochs=1");
  value(app, "--model", "MODEL", "The model that every entry begins with: a folder or hub name");
  value(app, "--data", "FOLDER", "What $DATA stands for in the list");
  value(app, "--out", "FOLDER", "Where runs and table are written; else runs/NAME of the list");
  count(app, "--seeds", 1, "Runs of each entry, each with a seed of its own")->default_str("1");
  output_flags(app);
}

void define_sweep(CLI::App& app) {
  positional(app, "CONFIG", "A run's configuration with a section sweep (YAML)")->required();
  values(app, "KEY=VALUE", kOverrides);
  flag(app, "--overwrite", "Begin anew, in place of what an earlier sweep left");
  output_flags(app);
}

void define_env(CLI::App& app) { flag(app, "--json", "As JSON"); }

void define_init(CLI::App& app) {
  std::vector<std::string> names;
  for (const Starter& starter : starters()) names.emplace_back(starter.task);
  one_of(
      positional(app, "TASK", "The task: " + fmt::format("{}", fmt::join(names, ", ")))->required(),
      names);
  positional(app, "FOLDER", "Where config.yaml is written")->default_str(".");
}

void define_pull(CLI::App& app) {
  positional(app, "NAME", "A hub name: org/name or org/name@revision")->required();
  flag(app, "--quiet", "No progress, warnings and errors only");
}

void define_completion(CLI::App& app) {
  one_of(positional(app, "SHELL", "bash or zsh")->required(), {"bash", "zsh"});
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {"train", "Fine-tune a model by a configuration, test it, report", define_train},
      {"eval", "Score a saved model on labelled data", define_eval},
      {"predict", "Label new data: JSONL or plain lines in, JSONL out", define_predict},
      {"chat", "Talk with a model on a terminal, turn by turn", define_chat},
      {"embed", "Turn texts into vectors: JSONL or numpy's .npy out", define_embed},
      {"search", "Find the texts of a corpus that are nearest to each query", define_search},
      {"score", "Score saved predictions against labelled data", define_score},
      {"ensemble", "Make several models one: probabilities or weights averaged", define_ensemble},
      {"compare", "Set two runs on the same test rows beside each other", define_compare},
      {"attack", "Rewrite rows word by word until the model errs, and count", define_attack},
      {"merge", "Merge an adapter into its base model, with a proof", define_merge},
      {"suite", "Train and test every task of a list, in one table", define_suite},
      {"sweep", "Try many values of a configuration, keep the best", define_sweep},
      {"find-lr", "Find a learning rate by a short run whose rate rises", define_find_lr},
      {"check", "Audit a run's data and estimate its cost; trains nothing", define_check},
      {"tokenize", "Show how a model's tokenizer cuts each line", define_tokenize},
      {"tokenizer", "Learn a tokenizer from texts (tokenizer train)", define_tokenizer},
      {"init", "Write a commented starter configuration", define_init},
      {"pull", "Fetch a model from the hub into the local cache", define_pull},
      {"env", "Show versions, machine and what is registered", define_env},
      {"completion", "Print a completion script for a shell", define_completion},
  };
  return table;
}

}  // namespace hone
