#include "config/assemble.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "config/listener_text.h"
#include "config/options.h"
#include "config/parse.h"
#include "config/validate.h"
#include "config/values.h"

namespace holdfast {

namespace {

constexpr std::string_view kDefaultName = "main";

std::vector<std::string> names_of(const std::vector<const Layer*>& layers, Scope scope) {
  std::vector<std::string> names;
  for (const Layer* layer : layers) {
    for (const Named& named : layer->named) {
      if (named.scope == scope && std::find(names.begin(), names.end(), named.name) == names.end()) {
        names.push_back(named.name);
      }
    }
  }
  return names;
}

std::string list_text(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Builds one configuration. The steps stand in the order in which they are taken.
class Assembly {
 public:
  Assembly(const std::optional<ConfigFile>& file, const Given& given) : given_(given) {
    if (file) read_file(*file);
  }

  Assembled take() {
    if (!file_.readable) return std::move(result_);
    choose_overlay();
    choose_pool();
    take_listeners();
    take_rows();
    take_command();
    take_sets();
    lay_over();
    find_contradictions();
    sort_mistakes();
    return std::move(result_);
  }

 private:
  void read_file(const ConfigFile& file) {
    file_ = parse_file(file.text, file.name);
    result_.mistakes = file_.mistakes;
    result_.origins[KeyPath{}] = {Origin::Kind::File, file.name, {}, ""};
    layers_.push_back(&file_.base);
  }

  void choose_overlay() {
    if (!given_.overlay) return;
    const std::string& name = given_.overlay->text;
    const auto overlay = file_.environments.find(name);
    if (overlay != file_.environments.end()) {
      layers_.push_back(&overlay->second);
    } else if (layers_.empty()) {
      note(given_.overlay->origin, "'" + name + "' is an environment of a file: give one with -c FILE");
    } else {
      std::vector<std::string> known;
      for (const auto& [other, layer] : file_.environments) known.push_back(other);
      note(given_.overlay->origin, "the file has no [environments." + key_text(name) + "]" + suggestion(name, known));
    }
  }

  // Which pool the options on the command line mean.
  void choose_pool() {
    const std::vector<std::string> pools = names_of(layers_, Scope::Pool);
    if (given_.pool) {
      target_ = given_.pool->text;
      if (!pools.empty() && std::find(pools.begin(), pools.end(), target_) == pools.end()) {
        note(given_.pool->origin, "the file has no pool '" + *target_ + "', but " + list_text(pools));
      }
    } else if (pools.size() <= 1) {
      target_ = pools.empty() ? std::string(kDefaultName) : pools.front();
    }
    if (pools.empty()) top_.named.push_back({Scope::Pool, *target_, given_.pool ? given_.pool->origin : Origin{}});
    several_pools_ = list_text(pools);
  }

  void take_listeners() {
    const std::vector<std::string> known = names_of(layers_, Scope::Listener);
    for (std::size_t i = 0; i < given_.listeners.size(); i++) take_listener(given_.listeners[i], i, known);
  }

  void take_listener(const GivenText& given, std::size_t index, const std::vector<std::string>& known) {
    const ListenerText text = split_listener_text(given.text);
    const Result<ListenerConfig> listener = parse_listener(text.address, "");
    const std::string unnamed = std::string(kDefaultName) + (index == 0 ? "" : "-" + std::to_string(index + 1));
    if (!listener) {
      note(given.origin, listener.error().message());
      // So that it is not told besides that there is none.
      top_.named.push_back({Scope::Listener, unnamed, given.origin});
      return top_.unread.push_back({Scope::Listener, unnamed, "address", ""});
    }
    std::string name = listener->name;
    const bool moves_the_only_one = known.size() == 1 && given_.listeners.size() == 1;
    if (name.empty() && !known.empty() && !moves_the_only_one) {
      return note(given.origin, given.text + " could be any of " + list_text(known) +
                                    ", or a further one: give its name, for instance -l " + known.front() + "=" +
                                    given.text);
    }
    if (name.empty()) name = moves_the_only_one ? known.front() : unnamed;
    const bool taken = std::any_of(top_.named.begin(), top_.named.end(), [&](const Named& named) {
      return named.scope == Scope::Listener && named.name == name;
    });
    if (taken) return note(given.origin, "two listeners are named '" + name + "'");
    top_.named.push_back({Scope::Listener, name, given.origin});
    assign(*find_option(Scope::Listener, "address"), name, Scalar{value_text(listener->address)}, given.origin);
    for (const ListenerText::Given& key : text.given) assign(*key.option, name, Scalar{key.value}, given.origin);
    const bool is_new = std::find(known.begin(), known.end(), name) == known.end();
    if (is_new && given_.pool) {
      assign(*find_option(Scope::Listener, "pool"), name, Scalar{given_.pool->text}, given_.pool->origin);
    }
  }

  void take_rows() {
    for (const Given::Row& row : given_.rows) {
      if (row.option->scope == Scope::Pool && !has_target(row.text.origin)) continue;
      assign(*row.option, row.option->scope == Scope::Pool ? *target_ : "", Scalar{row.text.text}, row.text.origin);
    }
  }

  void take_command() {
    const Origin origin{Origin::Kind::CommandLine, "--", {}, ""};
    if (given_.command.empty() || !has_target(origin)) return;
    assign(*find_option(Scope::Pool, "command"), *target_, value_of(given_.command), origin);
  }

  // A pool or a listener is made by the file or by -l, and not by a slip of the pen behind --set.
  void take_sets() {
    std::vector<const Layer*> named_before = layers_;
    named_before.push_back(&top_);
    const Layer before = top_;
    for (const std::string& text : given_.sets) {
      ParsedSet set = parse_set(text);
      for (Mistake& mistake : set.mistakes) result_.mistakes.push_back(std::move(mistake));
      for (const Named& named : set.layer.named) require_known(named, names_of(named_before, named.scope));
      for (Assignment& assignment : set.layer.assignments) add(std::move(assignment));
      top_.unread.insert(top_.unread.end(), set.layer.unread.begin(), set.layer.unread.end());
    }
  }

  void require_known(const Named& named, const std::vector<std::string>& known) {
    if (std::find(known.begin(), known.end(), named.name) != known.end()) return;
    note(named.origin, std::string("there is no ") + (named.scope == Scope::Pool ? "pool" : "listener") + " '" +
                           named.name + "'" + suggestion(named.name, known));
  }

  // From here on nothing is read any more: the sources are laid over each other.
  void lay_over() {
    layers_.push_back(&top_);
    std::map<KeyPath, const Assignment*> last;
    for (const Layer* layer : layers_) {
      for (const Assignment& assignment : layer->assignments) last[assignment.path] = &assignment;
    }
    Config& config = result_.config;
    config.pools.clear();
    for (const std::string& name : names_of(layers_, Scope::Pool)) config.pools.emplace_back().name = name;
    for (const std::string& name : names_of(layers_, Scope::Listener)) config.listeners.emplace_back().name = name;
    for (const Layer* layer : layers_) {
      for (const Named& named : layer->named) {
        if (named.origin.kind != Origin::Kind::Default) {
          result_.origins.emplace(KeyPath{named.scope, named.name, "", ""}, named.origin);
        }
      }
    }
    for (const auto& [path, assignment] : last) {
      const std::optional<std::size_t> index = index_of(path);
      if (!index || !assignment->option->set(config, {*index, path.entry}, assignment->value)) continue;
      result_.origins[path] = assignment->origin;
      for (std::size_t i = 0; i < assignment->elements.size(); i++) {
        result_.origins[KeyPath{path.scope, path.name, path.key, std::to_string(i + 1)}] = assignment->elements[i];
      }
    }
  }

  [[nodiscard]] std::optional<std::size_t> index_of(const KeyPath& path) const {
    const auto position = [&](const auto& list) -> std::optional<std::size_t> {
      for (std::size_t i = 0; i < list.size(); i++) {
        if (list[i].name == path.name) return i;
      }
      return std::nullopt;
    };
    if (path.scope == Scope::Supervisor || path.scope == Scope::Bus) return 0;
    return path.scope == Scope::Pool ? position(result_.config.pools) : position(result_.config.listeners);
  }

  // What is missing because it could not be read is told already.
  void find_contradictions() {
    for (Mistake& mistake : find_mistakes(result_.config, result_.origins)) {
      const bool told = std::any_of(layers_.begin(), layers_.end(), [&](const Layer* layer) {
        return std::find(layer->unread.begin(), layer->unread.end(), mistake.about) != layer->unread.end();
      });
      if (!told) result_.mistakes.push_back(std::move(mistake));
    }
  }

  // Those of the file first, as they stand in it.
  void sort_mistakes() {
    const auto place = [](const Mistake& mistake) {
      return std::pair(mistake.origin.kind != Origin::Kind::File, mistake.origin.position);
    };
    std::stable_sort(result_.mistakes.begin(), result_.mistakes.end(),
                     [&](const Mistake& a, const Mistake& b) { return place(a) < place(b); });
  }

  bool has_target(const Origin& origin) {
    if (!target_) {
      note(origin, "which pool is meant? There are " + several_pools_ +
                       ": name it with --pool, or in --set pools.NAME.KEY=VALUE");
    }
    return target_.has_value();
  }

  void assign(const Option& option, const std::string& name, Value value, const Origin& origin) {
    const KeyPath path{option.scope, name, option.key, ""};
    if (const Outcome fits = check_value(option, "", value); !fits) {
      top_.unread.push_back(path);
      return note(origin, fits.error().message());
    }
    add({&option, path, std::move(value), origin});
  }

  void add(Assignment assignment) {
    for (const Assignment& other : top_.assignments) {
      if (other.path != assignment.path) continue;
      if (other.origin.kind == Origin::Kind::Variable) continue;  // which the command line goes before
      return note(assignment.origin,
                  to_text(assignment.path) + " is given twice: " + other.origin.name + " gives it, too");
    }
    top_.assignments.push_back(std::move(assignment));
  }

  void note(const Origin& origin, const std::string& text) {
    result_.mistakes.push_back({origin, origin.name + ": " + text});
  }

  const Given& given_;
  ParsedFile file_;
  Layer top_;                          // of the command line and the environment
  std::vector<const Layer*> layers_;   // from the lowest
  std::optional<std::string> target_;  // nothing: one of several, and nobody says which
  std::string several_pools_;
  Assembled result_;
};

}  // namespace

Assembled assemble(const std::optional<ConfigFile>& file, const Given& given) { return Assembly(file, given).take(); }

}  // namespace holdfast
