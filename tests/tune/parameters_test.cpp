#include "tune/parameters.h"

#include <gtest/gtest.h>

namespace hone {
namespace {

TEST(Parameters, BiasesAndNormsDoNotDecay) {
  for (const char* name : {"bert.encoder.layer.0.attention.self.query.weight", "classifier.weight",
                           "bert.embeddings.word_embeddings.weight",
                           "distilbert.transformer.layer.0.ffn.lin1.weight", "normalizer.weight"}) {
    EXPECT_TRUE(decays(name)) << name;
  }
  for (const char* name :
       {"bert.encoder.layer.0.attention.self.query.bias", "classifier.bias",
        "bert.embeddings.LayerNorm.weight", "distilbert.transformer.layer.0.sa_layer_norm.weight",
        "model.norm.weight", "layers.0.input_layernorm.weight",
        "distilbert.transformer.layer.0.output_layer_norm.bias"}) {
    EXPECT_FALSE(decays(name)) << name;
  }
}

}  // namespace
}  // namespace hone
