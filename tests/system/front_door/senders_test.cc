// The programs that write PROXY headers in earnest, in front of the supervisor: HAProxy, nginx and curl.
#include <gmock/gmock.h>
#include <unistd.h>

#include "support/eventually.h"
#include "support/process.h"
#include "support/temp_directory.h"
#include "system/front_door/programs.h"
#include "system/front_door/proxied.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Senders : public testing::Test {
 protected:
  Senders() : supervisor_(passed("127.0.0.1:0,proxy-protocol=required")) { supervisor_.wait_until_serving(); }

  // Runs a proxy until the end of the test. Whether it listens at `listen`.
  [[nodiscard]] bool run_proxy(const std::vector<std::string>& command, const std::string& listen) {
    ProcessPlan plan;
    plan.command = command;
    plan.output_file = directory_ / "proxy.out";
    plan.error_file = directory_ / "proxy.err";
    proxy_ = std::make_unique<Process>(plan);
    return eventually([&] { return HttpClient(endpoint(listen)).connected() || !proxy_->running(); }) &&
           proxy_->running();
  }
  [[nodiscard]] std::string complaints() const { return text_of(directory_ / "proxy.err"); }
  // What whoami tells a client that comes to the proxy from `source`.
  [[nodiscard]] static nlohmann::json ask(const std::string& listen, const std::string& source) {
    HttpClient client(endpoint(listen), source);
    client.send("/", "close");
    const auto answer = told(client);
    EXPECT_TRUE(answer) << listen << ": " << name_of(client.ending());
    return answer.value_or(nlohmann::json{{"remote", ""}});
  }

  Supervisor supervisor_;
  TempDirectory directory_;
  std::unique_ptr<Process> proxy_;
};

TEST_F(Senders, HAProxyInAllItsForms) {
  if (program("haproxy").empty()) GTEST_SKIP() << "no haproxy";
  const std::string host = own_address();
  std::string text =
      "global\n  log stderr local0\ndefaults\n  mode tcp\n  timeout client 30s\n  timeout server 30s\n  timeout "
      "connect 30s\n";
  const std::vector<std::string> forms = {"send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn",
                                          "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"};
  for (std::size_t i = 0; i < forms.size(); ++i) {
    text += "listen form" + std::to_string(i) + "\n  bind " + host + ":" + std::to_string(18080 + i) +
            "\n  unique-id-format client-%ci\n  server one " + supervisor_.address() + " " + forms[i] + "\n";
  }
  write_text(directory_ / "haproxy.cfg", text);
  ASSERT_TRUE(run_proxy({program("haproxy"), "-db", "-f", directory_ / "haproxy.cfg"}, host + ":18080"))
      << complaints();
  for (std::size_t i = 0; i < forms.size(); ++i) {
    const std::string listen = host + ":" + std::to_string(18080 + i);
    const nlohmann::json answer = ask(listen, "127.0.5.7");
    EXPECT_THAT(answer["remote"].get<std::string>(), StartsWith("127.0.5.7:")) << forms[i];
    EXPECT_EQ(answer["local"], listen) << forms[i];
    EXPECT_EQ(answer["slot"], supervisor_.route("127.0.5.7")) << forms[i];
    if (i == 3) {
      EXPECT_EQ(answer["unique_id"], "client-127.0.5.7");
    }
  }
}

// TLS ends at the proxy, which tells the name.
TEST_F(Senders, HAProxyTellsTheNameThatTheClientAskedFor) {
  if (program("haproxy").empty()) GTEST_SKIP() << "no haproxy";
  const std::string host = own_address();
  const Ran made = run({program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-subj", "/CN=shop.example", "-days", "2", "-keyout", directory_ / "key", "-out",
                        directory_ / "certificate"});
  ASSERT_EQ(made.exit_code, 0) << made.errors;
  write_text(directory_ / "both", text_of(directory_ / "certificate") + text_of(directory_ / "key"));
  write_text(directory_ / "haproxy.cfg",
             "global\n  log stderr local0\ndefaults\n  mode tcp\n  timeout client 30s\n  timeout server 30s\n  timeout "
             "connect 30s\nlisten tls\n  bind " +
                 host + ":18085 ssl crt " + (directory_ / "both") + "\n  server one " + supervisor_.address() +
                 " send-proxy-v2 proxy-v2-options authority\n");
  ASSERT_TRUE(run_proxy({program("haproxy"), "-db", "-f", directory_ / "haproxy.cfg"}, host + ":18085"))
      << complaints();
  const Ran ran =
      run({program("curl"), "-sk", "--resolve", "shop.example:18085:" + host, "https://shop.example:18085/"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.output, HasSubstr("\"authority\":\"shop.example\""));
}

TEST_F(Senders, NginxStream) {
  const std::string module = "/usr/lib/nginx/modules/ngx_stream_module.so";
  if (program("nginx").empty() || ::access(module.c_str(), R_OK) != 0) GTEST_SKIP() << "no nginx with stream";
  const std::string listen = own_address() + ":18090";
  const std::string directory = directory_.path().string();
  write_text(directory_ / "nginx.conf",
             "load_module " + module + ";\ndaemon off;\nmaster_process off;\npid " + directory + "/pid;\nerror_log " +
                 directory + "/error.log;\nevents {}\nstream {\n  server {\n    listen " + listen +
                 ";\n    proxy_pass " + supervisor_.address() + ";\n    proxy_protocol on;\n  }\n}\n");
  ASSERT_TRUE(
      run_proxy({program("nginx"), "-p", directory, "-e", directory + "/error.log", "-c", "nginx.conf"}, listen))
      << complaints() << text_of(directory_ / "error.log");
  const nlohmann::json answer = ask(listen, "127.0.5.8");
  EXPECT_THAT(answer["remote"].get<std::string>(), StartsWith("127.0.5.8:"));
  EXPECT_EQ(answer["local"], listen);
  EXPECT_EQ(answer["slot"], supervisor_.route("127.0.5.8"));
}

TEST_F(Senders, Curl) {
  if (program("curl").empty()) GTEST_SKIP() << "no curl";
  const Ran ran = run({program("curl"), "-s", "--haproxy-protocol", "--interface", "127.0.0.44",
                       "http://" + supervisor_.address() + "/"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.output, HasSubstr("\"remote\":\"127.0.0.44:"));
  EXPECT_THAT(ran.output, HasSubstr("\"proxied\":true"));
}

}  // namespace
}  // namespace holdfast::test
