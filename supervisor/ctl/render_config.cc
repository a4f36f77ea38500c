#include "ctl/render_config.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "config/options.h"

namespace holdfast {

namespace {

constexpr std::size_t kWidestValue = 34;  // so that the origin has room beside it

Origin origin_of(const Assembled& assembled, const KeyPath& path) {
  const auto origin = assembled.origins.find(path);
  return origin == assembled.origins.end() ? Origin{} : origin->second;
}

// The file's name stands in the first line already, and the key of --set in its own.
std::string place_text(const Origin& origin) {
  if (origin.kind != Origin::Kind::File) return to_text(origin).substr(0, origin.name.find(' '));
  const std::string line = "line " + std::to_string(origin.position.line);
  return origin.environment.empty() ? line : line + " (" + origin.environment + ")";
}

std::string_view kind_text(Origin::Kind kind) {
  switch (kind) {
    case Origin::Kind::Default:
      return "default";
    case Origin::Kind::File:
      return "file";
    case Origin::Kind::Variable:
      return "variable";
    case Origin::Kind::CommandLine:
      break;
  }
  return "command line";
}

nlohmann::ordered_json origin_json(const Origin& origin) {
  nlohmann::ordered_json json = {{"kind", kind_text(origin.kind)}};
  if (!origin.name.empty()) json["name"] = origin.name;
  if (origin.position.line > 0) {
    json["line"] = origin.position.line;
    json["column"] = origin.position.column;
  }
  if (!origin.environment.empty()) json["environment"] = origin.environment;
  return json;
}

nlohmann::ordered_json scalar_json(const Scalar& scalar) {
  if (scalar.form != Scalar::Form::Number) return scalar.text;
  return nlohmann::ordered_json::parse(scalar.text);  // we have printed it ourselves
}

nlohmann::ordered_json value_json(const Value& value) {
  if (const auto* scalar = std::get_if<Scalar>(&value)) return scalar_json(*scalar);
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const Scalar& scalar : std::get<std::vector<Scalar>>(value)) json.push_back(scalar_json(scalar));
  return json;
}

}  // namespace

std::string render_config(const Assembled& assembled, Colours colours) {
  Table table({{"KEY"}, {"VALUE"}, {"RELOAD"}, {"FROM"}});
  for (const Setting& setting : settings_of(assembled.config)) {
    const Origin origin = origin_of(assembled, setting.path);
    const Style style = origin.kind == Origin::Kind::Default ? Style::Dim : Style::Plain;
    table.add({{to_text(setting.path), style},
               {fitted(to_toml(setting.value), kWidestValue), style},
               {std::string(to_text(setting.option->effect)), style},
               {place_text(origin), style}});
  }
  const Origin file = origin_of(assembled, KeyPath{});
  const std::string title =
      file.name.empty() ? "" : styled(fitted(file.name, Table::kLineWidth), Style::Bold, colours) + "\n";
  return title + table.text(colours);
}

std::string config_json(const Assembled& assembled) {
  nlohmann::ordered_json json = {{"ok", assembled.mistakes.empty()}};
  if (const Origin file = origin_of(assembled, KeyPath{}); !file.name.empty()) json["file"] = file.name;
  json["mistakes"] = nlohmann::ordered_json::array();
  for (const Mistake& mistake : assembled.mistakes) {
    json["mistakes"].push_back({{"text", mistake.text}, {"from", origin_json(mistake.origin)}});
  }
  json["values"] = nlohmann::ordered_json::array();
  if (assembled.mistakes.empty()) {
    for (const Setting& setting : settings_of(assembled.config)) {
      json["values"].push_back({{"key", to_text(setting.path)},
                                {"value", value_json(setting.value)},
                                {"reload", to_text(setting.option->effect)},
                                {"from", origin_json(origin_of(assembled, setting.path))}});
    }
  }
  // What a file or an argument has in it need not be UTF-8.
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace holdfast
